/**
 * A cluster of several nodes on this machine, each with a state folder and a mountpoint of its
 * own: all on the loopback interface, or each as a machine of its own in a test network. Node 0
 * founds it and runs the metaserver; the others join.
 */
import type { TestContext } from 'node:test';
import type { StatusDocument } from '../../src/cli/status-document.ts';
import { DfsUnderTest, expectOk } from './dfs.ts';
import { TestNetwork } from './netns.ts';
import { killHard, until } from './processes.ts';

export type ClusterNetwork = 'host' | 'namespaces';
export type Role = 'node' | 'metaserver' | 'guardian';

export interface ClusterOptions {
  readonly nodes: number;
  /** Machines in the network; those beyond the nodes are for strangers. */
  readonly machines?: number;
  readonly network: ClusterNetwork;
  /** For every process. */
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments for every `dfs mount`. */
  readonly mountArgs?: readonly string[];
  /** The compiled program to run, where it is another than that of this checkout. */
  readonly program?: string;
  /** Nodes that join without being allowed to serve data, by index. */
  readonly clientsOnly?: readonly number[];
  /** Before a node is mounted for the first time: may put its state folder elsewhere. */
  readonly prepare?: (index: number, dfs: DfsUnderTest) => Promise<void>;
}

const NAMES = ['a', 'b', 'c', 'd'] as const;
const JOINED_MS = 30_000;

export interface ClusterNode {
  readonly index: number;
  readonly name: string;
  /** Its address as others see it. */
  readonly host: string;
  readonly dfs: DfsUnderTest;
  /** What `dfs mount` was given. */
  readonly mountArgs: readonly string[];
}

export type PeerDocument = StatusDocument['peers'][number];

export class TestCluster {
  readonly network: TestNetwork | undefined;
  readonly #options: ClusterOptions;
  readonly #nodes: ClusterNode[] = [];
  readonly #strangers: DfsUnderTest[] = [];
  #join = '';

  private constructor(options: ClusterOptions, network: TestNetwork | undefined) {
    this.#options = options;
    this.network = network;
  }

  /** Resolves when every node sees every other one up. Everything ends with the test. */
  static async start(t: TestContext, options: ClusterOptions): Promise<TestCluster> {
    const machines = options.machines ?? options.nodes;
    const network = options.network === 'host' ? undefined : await TestNetwork.open(machines);
    const cluster = new TestCluster(options, network);
    t.after(() => cluster.#close());
    for (let index = 0; index < options.nodes; index++) await cluster.#add(index);
    await cluster.untilWhole('all nodes have joined', JOINED_MS);
    return cluster;
  }

  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** HOST:PORT to join at. */
  get join(): string {
    return this.#join;
  }

  node(index: number): ClusterNode {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`no node ${index} in this cluster`);
    return node;
  }

  /** A state folder that has not joined, on machine `index`. */
  async stranger(index: number): Promise<DfsUnderTest> {
    const prefix = this.network?.node(index).prefix;
    const dfs = await DfsUnderTest.createOwned({}, undefined, prefix);
    this.#strangers.push(dfs);
    return dfs;
  }

  /** Waits until every node is up and mounted, and sees the metaserver and all peers up. */
  async untilWhole(what: string, ms: number): Promise<void> {
    for (const node of this.#nodes) {
      await this.untilStatus(`${what}, as ${node.name} sees it`, node, (s) => this.#isWhole(s), ms);
    }
  }

  /** Waits for what `dfs status --json` of one node says. @throws Error with the last of it */
  async untilStatus(
    what: string,
    node: ClusterNode,
    condition: (status: StatusDocument) => boolean,
    ms: number,
  ): Promise<StatusDocument> {
    let last: StatusDocument | undefined;
    const holds = async () => {
      last = await statusOf(node);
      return condition(last);
    };
    try {
      await until(what, holds, ms);
    } catch (error) {
      throw new Error(`${what}; ${node.name} says ${JSON.stringify(last)}`, { cause: error });
    }
    if (last === undefined) throw new Error(`${what}: never asked`);
    return last;
  }

  /** What requests wait for on each node, to be told when a test fails. */
  async waiting(): Promise<string> {
    const each = this.#nodes.map(async (node) => {
      const [mount] = (await statusOf(node)).mounts;
      const waiting = mount !== undefined && 'waiting' in mount ? mount.waiting : mount;
      return `${node.name} ${JSON.stringify(waiting)}`;
    });
    return (await Promise.all(each)).join(', ');
  }

  #isWhole({ node, metaserver, mounts, peers }: StatusDocument): boolean {
    const clients = this.#options.clientsOnly ?? [];
    const expected = this.#nodes.map(({ index, name }) => `${name} ${!clients.includes(index)}`);
    const found = peers
      .filter(({ state, unreachableFrom }) => state === 'up' && unreachableFrom.length === 0)
      .map(({ name, stores }) => `${name} ${stores}`);
    return (
      node.state === 'up' &&
      metaserver.state === 'up' &&
      mounts[0]?.state === 'up' &&
      found.sort().join() === expected.sort().join()
    );
  }

  async #add(index: number): Promise<void> {
    const machine = this.network?.node(index);
    const host = machine?.address ?? '127.0.0.1';
    const name = NAMES[index] ?? `node${index}`;
    const { env = {}, program } = this.#options;
    const dfs = await DfsUnderTest.createOwned(env, program, machine?.prefix);
    const mountArgs = ['--name', name, ...this.#listeners(index, host)];
    this.#nodes.push({ index, name, host, dfs, mountArgs });
    await this.#options.prepare?.(index, dfs);
    await dfs.mount([...mountArgs, ...(this.#options.mountArgs ?? [])]);
    if (index > 0) return;
    const [join] = (await statusOf(this.node(0))).listen.metaserver;
    if (join === undefined) throw new Error('the metaserver listens nowhere');
    this.#join = join;
  }

  #listeners(index: number, host: string): string[] {
    if (this.#options.clientsOnly?.includes(index)) return ['--join', this.#join];
    const open = this.network === undefined ? [] : ['--insecure'];
    const peer = ['--peer-listen', `${host}:0`, ...open];
    return index === 0 ? ['--listen', `${host}:0`, ...peer] : ['--join', this.#join, ...peer];
  }

  /** Those that joined end first: they have nothing left to say when the metaserver ends. */
  async #close(): Promise<void> {
    await this.network?.heal();
    const joined = this.#nodes.map(({ dfs }) => dfs).toReversed();
    for (const dfs of [...this.#strangers.toReversed(), ...joined]) await dfs.cleanUp();
    await this.network?.[Symbol.asyncDispose]();
  }
}

/** What `dfs status --json` of a node says, whether or not its node runs. */
export async function statusOf({ dfs, name }: ClusterNode): Promise<StatusDocument> {
  const output = expectOk(await dfs.cli(['status', '--json']), `dfs status of ${name}`);
  return JSON.parse(output.stdout) as StatusDocument;
}

/** What one node says of another one. @throws Error it does not know it */
export function peerOf(status: StatusDocument, name: string): PeerDocument {
  const peer = status.peers.find((entry) => entry.name === name);
  if (peer !== undefined) return peer;
  throw new Error(`no peer ${name} in ${JSON.stringify(status.peers)}`);
}

export function problemCodes(status: StatusDocument): string[] {
  return status.problems.map(({ code }) => code);
}

/** SIGKILL; the process is gone when this resolves. */
export async function killRole(node: ClusterNode, role: Role): Promise<void> {
  await killHard(await node.dfs.pid(role));
}

/**
 * Runs `work` while the guardian of a node restarts nothing, so that what is seen after a kill
 * is not a race against it.
 */
export async function withGuardianStopped<T>(
  nodes: readonly ClusterNode[],
  work: () => Promise<T>,
): Promise<T> {
  const pids = await Promise.all(nodes.map(({ dfs }) => dfs.pid('guardian')));
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    return await work();
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
}
