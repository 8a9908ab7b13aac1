/** Asks a running dfs process something through its control socket, within a bound. */
import { type IncomingMessage, request } from 'node:http';
import { FsError, isErrnoName, systemCode, toFsError } from './errno.ts';

export interface ControlCall {
  readonly socketPath: string;
  readonly method: 'GET' | 'POST';
  /** `/status` */
  readonly path: string;
  readonly body?: object;
  /** Bound of the whole call, milliseconds. */
  readonly timeoutMs: number;
}

/** Nobody listens: the socket is missing, or left behind by a process that is gone. */
const DEAD = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'ENOTDIR']);

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

function member(document: unknown, name: string): unknown {
  if (typeof document !== 'object' || document === null) return undefined;
  return new Map<string, unknown>(Object.entries(document)).get(name);
}

function parseAnswer(text: string, call: ControlCall): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FsError('EPROTO', `${call.socketPath} gave no JSON to ${call.path}`, {
      cause: error,
    });
  }
}

/** The error a process answered with, as if it had been thrown here. */
function remoteError(document: unknown): FsError {
  const code = member(document, 'code');
  const message = member(document, 'message');
  const name = isErrnoName(code) ? code : 'EIO';
  const sentence = typeof message === 'string' ? message : 'the node refused';
  return new FsError(
    name,
    sentence.startsWith(`${name}: `) ? sentence.slice(name.length + 2) : sentence,
  );
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) {
    text += String(part);
    if (text.length > ANSWER_BYTES_MAX) throw new FsError('E2BIG', 'the answer is too long');
  }
  return text;
}

function send(call: ControlCall, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { socketPath, method, path } = call;
    const outgoing = request({ socketPath, method, path, signal, agent: false });
    outgoing.once('error', reject);
    outgoing.once('response', resolve);
    outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  });
}

/**
 * @returns the JSON answer, undefined when no process listens there
 * @throws FsError what the process answered with · ETIMEDOUT · EACCES not this user's
 */
export async function callControl(call: ControlCall): Promise<unknown> {
  const signal = AbortSignal.timeout(call.timeoutMs);
  try {
    const response = await send(call, signal);
    const document = parseAnswer(await readAnswer(response), call);
    if (response.statusCode !== 200) throw remoteError(document);
    return document;
  } catch (error) {
    if (DEAD.has(systemCode(error) ?? '')) return undefined;
    if (signal.aborted) {
      const message = `no answer from ${call.socketPath} within ${call.timeoutMs} ms`;
      throw new FsError('ETIMEDOUT', message, { cause: error });
    }
    throw toFsError(error, `cannot ask ${call.socketPath}`);
  }
}
