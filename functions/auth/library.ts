// Loaded when a token of Google is first asked for.
export { GoogleAuth } from 'google-auth-library';
