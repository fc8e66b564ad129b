// Loaded when a token of Google is first asked for.
export { gcpMetadata, GoogleAuth } from 'google-auth-library';
