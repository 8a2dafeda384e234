export { ChowkClient } from './client.ts';
export type { ClientEvents, ClientOptions, ConnectionState, Sending, SocketLike } from './client.ts';
export { ChowkError } from './error.ts';
export { Rest } from './rest.ts';
export type { RestOptions } from './rest.ts';
export { uuidv7 } from './uuid.ts';
export { closeCodes, limits } from './protocol.gen.ts';
export type * from './types.ts';
