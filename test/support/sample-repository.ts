/** A git repository made on the spot: many files in many folders, and a C program to build. */
import { expectOk, run } from './dfs.ts';

/** What git is told of who commits, and that nothing else on this machine configures it. */
export const GIT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'dfs',
  GIT_AUTHOR_EMAIL: 'dfs@localhost',
  GIT_COMMITTER_NAME: 'dfs',
  GIT_COMMITTER_EMAIL: 'dfs@localhost',
};

const MAKE = `
mkdir "$REPOSITORY"
cd "$REPOSITORY"
for ((n = 0; n < FILES; n++)); do
  folder=src/$((n / 50))
  ((n % 50)) || mkdir -p "$folder"
  for ((line = 0; line <= n % 97; line++)); do echo "file $n line $line"; done >"$folder/$n.txt"
done
ln -s src/0/1.txt link
mkdir c
cd c
for ((n = 0; n < 12; n++)); do echo "int f$n(void) { return $n; }" >"f$n.c"; done
{
  for ((n = 0; n < 12; n++)); do echo "int f$n(void);"; done
  echo 'int main(void) { return 0'
  for ((n = 0; n < 12; n++)); do echo " + 0 * f$n()"; done
  echo '; }'
} >main.c
printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n\\t$(CC) -o $@ $^\\n' >Makefile
printf '*.o\\nprog\\n' >.gitignore
cd ..
printf '#!/bin/sh\\necho run\\n' >run
chmod +x run
git init -q
git add -A
git commit -qm 'A tree of files'
echo changed >>src/0/0.txt
git commit -qam 'A change'`;

/** @param files how many text files it has besides the program */
export async function makeRepository(path: string, files: number): Promise<void> {
  const env = { ...GIT, HOME: '/nonexistent', REPOSITORY: path, FILES: String(files) };
  expectOk(await run('bash', ['-euc', MAKE], { env, timeoutMs: 300_000 }), 'making a repository');
}
