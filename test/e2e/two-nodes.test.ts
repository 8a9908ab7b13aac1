import { sharingSuite } from '../support/sharing-suite.ts';

await sharingSuite('two nodes of one machine share files', { nodes: 2, network: 'host' });
