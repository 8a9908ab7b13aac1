/** The one place that dials: credentials and limits of every connection are decided here. */
import { type ChannelOptions, credentials } from '@grpc/grpc-js';
import { MetaServiceClient } from '../../../gen/meta.ts';
import { ChunkServiceClient } from '../../../gen/peer.ts';

/** Messages stay below 256 KiB; anything near this limit is a fault of the other side. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
const RECONNECT_MS_MAX = 1_000;

const OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // Equal channels would share one connection otherwise.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
  'grpc.enable_retries': 0,
};

/** @param address `unix:PATH` or HOST:PORT */
export function dialMetaserver(address: string): MetaServiceClient {
  return new MetaServiceClient(address, credentials.createInsecure(), OPTIONS);
}

/** @param address HOST:PORT */
export function dialPeer(address: string): ChunkServiceClient {
  return new ChunkServiceClient(address, credentials.createInsecure(), OPTIONS);
}
