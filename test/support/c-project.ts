/**
 * A C project of two programs that share a header, with a header each of their own. Everything a
 * program prints comes from a header, so that an object that was not compiled again is seen.
 */
export const PROGRAMS = ['one', 'two'] as const;
export type Program = (typeof PROGRAMS)[number];
export type Header = Program | 'common';

/** Sources of each program beside its main. */
export const PARTS = 5;

const MAKEFILE = `
CFLAGS = -O0 -MMD -MP
PARTS = ${Array.from({ length: PARTS }, (_, n) => n).join(' ')}
all: one two
one: main_one.o $(PARTS:%=one_%.o)
two: main_two.o $(PARTS:%=two_%.o)
one two:
	@echo link $@
	@$(CC) -o $@ $^
%.o: %.c
	@echo compile $@
	@$(CC) $(CFLAGS) -c -o $@ $<
-include $(wildcard *.d)
clean:
	rm -f *.o *.d one two
`;

/** Part 0 of a program reads the common header, all others that of the program. */
function part(program: Program, n: number): string {
  const header: Header = n === 0 ? 'common' : program;
  return `#include "${header}.h"\nint ${program}_${n}(void) { return ${header}_value + ${n}; }\n`;
}

function main(program: Program): string {
  const numbers = Array.from({ length: PARTS }, (_, n) => n);
  const declared = numbers.map((n) => `int ${program}_${n}(void);\n`).join('');
  const printed = numbers.map((n) => `  printf("%d\\n", ${program}_${n}());\n`).join('');
  return `#include <stdio.h>\n${declared}int main(void) {\n${printed}  return 0;\n}\n`;
}

export function headerText(header: Header, value: number): string {
  return `enum { ${header}_value = ${value} };\n`;
}

/** Its files, by name. */
export function projectFiles(values: Readonly<Record<Header, number>>): Map<string, string> {
  const files = new Map([['Makefile', MAKEFILE]]);
  for (const header of ['common', ...PROGRAMS] as const) {
    files.set(`${header}.h`, headerText(header, values[header]));
  }
  for (const program of PROGRAMS) {
    files.set(`main_${program}.c`, main(program));
    for (let n = 0; n < PARTS; n++) files.set(`${program}_${n}.c`, part(program, n));
  }
  return files;
}

/** What make says when it makes `program` after a change of `header`, in order of the alphabet. */
export function remade(program: Program, headers: readonly Header[]): string[] {
  const parts = Array.from({ length: PARTS }, (_, n) => n).filter((n) =>
    headers.includes(n === 0 ? 'common' : program),
  );
  const compiled = parts.map((n) => `compile ${program}_${n}.o`);
  return compiled.length === 0 ? [] : [...compiled, `link ${program}`].sort();
}

/** What make says when there is nothing yet. */
export function made(program: Program): string[] {
  return [...remade(program, ['common', program]), `compile main_${program}.o`].sort();
}

export function printed(program: Program, values: Readonly<Record<Header, number>>): string {
  const numbers = Array.from({ length: PARTS }, (_, n) => n);
  return numbers.map((n) => `${values[n === 0 ? 'common' : program] + n}\n`).join('');
}
