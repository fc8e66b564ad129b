/** One entry of an archive. */
export interface TarFile {
  /** Relative path; a directory's ends with a slash. */
  readonly path: string;
  readonly bytes?: Buffer;
}

const BLOCK_BYTES = 512;

/** A POSIX.1-1988 (`ustar`) archive. Every entry belongs to root and is of the same second. */
export function tarOf(files: readonly TarFile[], modifiedSeconds: number): Buffer {
  const parts = files.flatMap((file) => {
    const bytes = file.bytes ?? Buffer.alloc(0);
    const padding = (BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES;
    return [tarHeader(file, bytes.length, modifiedSeconds), bytes, Buffer.alloc(padding)];
  });
  // Two empty blocks end an archive.
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

/** The block before an entry's bytes. */
export function tarHeader(file: TarFile, sizeBytes: number, modifiedSeconds: number): Buffer {
  if (Buffer.byteLength(file.path) > 100) throw new Error(`path too long for ustar: ${file.path}`);
  const directory = file.path.endsWith('/');
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(file.path, 0);
  octal(block, 100, 8, directory ? 0o755 : 0o644);
  octal(block, 108, 8, 0);
  octal(block, 116, 8, 0);
  octal(block, 124, 12, sizeBytes);
  octal(block, 136, 12, modifiedSeconds);
  block.fill(' ', 148, 156);
  block.write(directory ? '5' : '0', 156);
  block.write('ustar\u000000', 257);
  block.write('root', 265);
  block.write('root', 297);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return block;
}

function octal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, '0')}\u0000`, offset);
}
