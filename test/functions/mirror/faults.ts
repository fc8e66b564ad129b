export { NEVER as never } from '../../faults.ts';
