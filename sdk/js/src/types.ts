// The types of the protocol. protocol.gen.ts is generated from the server; what follows adds the names that are the
// client's own.

import type * as protocol from './protocol.gen.ts';

export type * from './protocol.gen.ts';

/** A message to send. The client gives every message a client_id, so that sending again is safe. */
export type SendRequest = protocol.SendRequest & { client_id: string };

export type Account = protocol.UserResponse;
export type AuthConfig = protocol.ConfigResponse;

export type ConnectionFrame = protocol.Events['connection'];
export type AckFrame = protocol.Events['ack'];
export type ErrorFrame = protocol.Events['error'];
export type NoticeFrame = protocol.Events['notice'];

/** What the client's own events carry: everything except answers. */
export type ServerEvent = protocol.LogEvent | protocol.TransientEvent;

export type ServerFrame = ServerEvent | protocol.SocketEvent;

/** Each command's data, and the response of its ack. */
export type Requests = {
  [C in keyof protocol.Commands]: [protocol.Commands[C]['data'], protocol.Commands[C]['response']];
};

export type RequestType = keyof Requests;
