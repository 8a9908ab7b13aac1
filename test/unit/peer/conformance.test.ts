import { chunkStoreSuite } from '../../conformance/chunk-store-suite.ts';
import { MemoryChunkStore } from '../../support/memory-chunk-store.ts';
import { StoreFixture } from './store-fixture.ts';

chunkStoreSuite('the memory store', async () => ({
  store: new MemoryChunkStore(),
  close: async () => {},
}));

chunkStoreSuite('the disk store', () => StoreFixture.open());

chunkStoreSuite('the disk store with hardly any memory', () =>
  StoreFixture.open({ limits: { descriptorsMax: 1, filesMax: 2, chunksMax: 2 } }),
);
