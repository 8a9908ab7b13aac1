/** The one place that dials: credentials and limits of every connection are decided here. */
import { type ChannelOptions, type Client, connectivityState, credentials } from '@grpc/grpc-js';
import { MetaServiceClient } from '../../../gen/meta.ts';
import { ChunkServiceClient } from '../../../gen/peer.ts';
import { CHUNK_LIMITS, type Limits, PING_MS, PING_TIMEOUT_MS, SESSION_LIMITS } from './limits.ts';

/**
 * The kernel repeats an unanswered SYN at ever longer intervals, for minutes. Whoever dialled and
 * is not connected after so long closes, and dials anew.
 */
export const CONNECT_MS_MAX = 5_000;
const RECONNECT_MS_MAX = 1_000;

function optionsFor(address: string, { messageBytes, windowBytes }: Limits): ChannelOptions {
  const pings = {
    'grpc.keepalive_time_ms': PING_MS,
    'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
    'grpc.keepalive_permit_without_calls': 1,
  };
  return {
    'grpc.max_receive_message_length': messageBytes,
    'grpc.max_send_message_length': messageBytes,
    'grpc-node.flow_control_window': windowBytes,
    // Equal channels would share one connection otherwise.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
    'grpc.enable_retries': 0,
    // A cluster is no web site: no proxy of the environment, no settings from TXT records.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(address.startsWith('unix:') ? {} : pings),
  };
}

/** @param address `unix:PATH` or HOST:PORT */
export function dialMetaserver(address: string): MetaServiceClient {
  const options = optionsFor(address, SESSION_LIMITS);
  return new MetaServiceClient(address, credentials.createInsecure(), options);
}

/** @param address HOST:PORT */
export function dialPeer(address: string): ChunkServiceClient {
  const options = optionsFor(address, CHUNK_LIMITS);
  return new ChunkServiceClient(address, credentials.createInsecure(), options);
}

/** Whether its connection stands, as far as this machine can tell. */
export function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}
