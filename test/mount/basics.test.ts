import { basicsSuite } from '../support/basics-suite.ts';

basicsSuite('a fresh mount keeps files, directories and links like a local disk', '');
