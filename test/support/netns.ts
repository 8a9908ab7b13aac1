/**
 * Networks between nodes on one machine: a network namespace for each node, joined by a bridge in
 * a namespace of its own, with firewalls that cut them off from each other. Nothing has a name or
 * outlives the test: a namespace lasts as long as the helper process in it, and a helper ends when
 * the pipe to this process closes, whatever closes it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expectOk, type Output, run } from './dfs.ts';
import { killHard, until } from './processes.ts';
import { reasonAgainstPrograms } from './programs.ts';

const HELPER = ['-n', 'sh', '-c', 'ip link set lo up && echo ready && exec cat'];
const FIREWALL = [
  'add table inet test',
  'add chain inet test input { type filter hook input priority 0 ; }',
];

/** Why networks cannot be made here, for a test to skip with. */
export async function reasonAgainstNetworks(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (!existsSync('/dev/fuse')) return 'this machine has no /dev/fuse';
  const missing = await reasonAgainstPrograms('ip', 'nft', 'nsenter', 'unshare');
  if (missing !== false) return missing;
  const tried = await run('unshare', ['-n', 'sh', '-c', `nft '${FIREWALL.join('; ')}'`]);
  return tried.code === 0 ? false : `no network namespace with a firewall: ${tried.stderr.trim()}`;
}

class Namespace {
  readonly pid: number;
  readonly #helper: ChildProcess;

  private constructor(pid: number, helper: ChildProcess) {
    this.pid = pid;
    this.#helper = helper;
  }

  static async open(): Promise<Namespace> {
    const helper = spawn('unshare', HELPER, { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    helper.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    if (helper.pid === undefined) throw new Error('unshare cannot be run');
    const namespace = new Namespace(helper.pid, helper);
    await until('the namespace is there', () => said.includes('ready'));
    return namespace;
  }

  /** What to put before a command to run it in here. */
  get prefix(): readonly string[] {
    return ['nsenter', '-t', String(this.pid), '-n', '--'];
  }

  async ok(...command: readonly string[]): Promise<Output> {
    const [program = '', ...args] = [...this.prefix, ...command];
    return expectOk(await run(program, args), command.join(' '));
  }

  async close(): Promise<void> {
    this.#helper.stdin?.destroy();
    await killHard(this.pid);
  }
}

export interface NetworkNode {
  readonly address: string;
  /** What to put before a command to run it as that machine. */
  readonly prefix: readonly string[];
}

/** One switch with a machine on each port: 10.77.0.1, 10.77.0.2, ... */
export class TestNetwork implements AsyncDisposable {
  readonly #bridge: Namespace;
  readonly #namespaces: readonly Namespace[];

  private constructor(bridge: Namespace, namespaces: readonly Namespace[]) {
    this.#bridge = bridge;
    this.#namespaces = namespaces;
  }

  static async open(nodes: number): Promise<TestNetwork> {
    const bridge = await Namespace.open();
    await bridge.ok('ip', 'link', 'add', 'br0', 'type', 'bridge');
    await bridge.ok('ip', 'link', 'set', 'br0', 'up');
    const namespaces: Namespace[] = [];
    for (let index = 0; index < nodes; index++) {
      const namespace = await Namespace.open();
      namespaces.push(namespace);
      const port = `port${index}`;
      const plug = ['type', 'veth', 'peer', 'name', port, 'netns', String(bridge.pid)];
      await namespace.ok('ip', 'link', 'add', 'eth0', ...plug);
      await bridge.ok('ip', 'link', 'set', port, 'master', 'br0', 'up');
      await namespace.ok('ip', 'address', 'add', `${addressOf(index)}/24`, 'dev', 'eth0');
      await namespace.ok('ip', 'link', 'set', 'eth0', 'up');
      await namespace.ok('nft', FIREWALL.join('; '));
    }
    return new TestNetwork(bridge, namespaces);
  }

  node(index: number): NetworkNode {
    return { address: addressOf(index), prefix: this.#at(index).prefix };
  }

  /** From now on nothing that `from` sends arrives at `to`; nobody is told. */
  async cutOneWay(from: number, to: number): Promise<void> {
    const rule = `add rule inet test input ip saddr ${addressOf(from)} drop`;
    await this.#at(to).ok('nft', rule);
  }

  async cut(a: number, b: number): Promise<void> {
    await this.cutOneWay(a, b);
    await this.cutOneWay(b, a);
  }

  /** From now on nobody can begin a connection to it, as behind a router that hides it. */
  async hide(index: number): Promise<void> {
    await this.#at(index).ok('nft', 'add rule inet test input tcp flags & (syn | ack) == syn drop');
  }

  /** Everybody reaches everybody again. */
  async heal(): Promise<void> {
    for (const namespace of this.#namespaces) {
      await namespace.ok('nft', 'flush chain inet test input');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const namespace of [...this.#namespaces, this.#bridge]) await namespace.close();
  }

  #at(index: number): Namespace {
    const namespace = this.#namespaces[index];
    if (namespace === undefined) throw new Error(`no machine ${index} in this network`);
    return namespace;
  }
}

function addressOf(index: number): string {
  return `10.77.0.${index + 1}`;
}
