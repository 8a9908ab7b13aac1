import { sharingSuite } from '../support/sharing-suite.ts';

await sharingSuite('three machines of one network share files', {
  nodes: 3,
  network: 'namespaces',
});
