// JSON as RFC 8259 has it, read with places: a saved configuration that is damaged must say where, and a key that comes twice
// must not win over its first value in silence, as JSON.parse lets it.
import { AppError } from '../util/errors.js';

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

export interface JsonDocument {
  readonly value: JsonValue;
  /** The line, from 1, at which an object or array begins. */
  lineOf(container: object): number;
}

/** No honest configuration nests deeper than 8. */
const DEEPEST = 64;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/**
 * Objects have no prototype, so that no key means anything but itself.
 * @throws AppError ERR_DATABASE `FILE:LINE:COLUMN: what is wrong`
 */
export function readJson(text: string, file: string): JsonDocument {
  return new Reader(text, file).document();
}

class Reader {
  readonly #text: string;
  readonly #file: string;
  readonly #starts = new WeakMap<object, number>();
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  document(): JsonDocument {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail('something follows the end');
    return { value, lineOf: (container) => this.#place(this.#starts.get(container) ?? 0).line };
  }

  #value(depth: number): JsonValue {
    if (depth > DEEPEST) this.#fail(`nested deeper than ${DEEPEST}`);
    this.#space();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonObject {
    const object: Record<string, JsonValue> = Object.create(null);
    this.#starts.set(object, this.#at);
    this.#at++;
    this.#space();
    if (this.#taken('}')) return object;
    do {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#fail('a key in quotes is expected');
      const start = this.#at;
      const key = this.#string();
      if (key in object) this.#fail(`the key ${JSON.stringify(key)} comes twice`, start);
      this.#space();
      if (!this.#taken(':')) this.#fail('":" is expected');
      object[key] = this.#value(depth + 1);
      this.#space();
    } while (this.#taken(','));
    if (!this.#taken('}')) this.#fail('"," or "}" is expected');
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#starts.set(array, this.#at);
    this.#at++;
    this.#space();
    if (this.#taken(']')) return array;
    do {
      array.push(this.#value(depth + 1));
      this.#space();
    } while (this.#taken(','));
    if (!this.#taken(']')) this.#fail('"," or "]" is expected');
    return array;
  }

  #string(): string {
    const parts: string[] = [];
    let from = ++this.#at;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (Number.isNaN(code)) this.#fail('the file ends inside a text');
      if (code < 0x20) this.#fail('a control character inside a text');
      if (code === 0x22) {
        parts.push(this.#text.slice(from, this.#at++));
        return parts.join('');
      }
      if (code !== 0x5c) {
        this.#at++;
        continue;
      }
      parts.push(this.#text.slice(from, this.#at++), this.#escape());
      from = this.#at;
    }
  }

  /** What follows a backslash. */
  #escape(): string {
    const letter = this.#text[this.#at++] ?? '';
    const plain = ESCAPES[letter];
    if (plain !== undefined) return plain;
    const hex = this.#text.slice(this.#at, this.#at + 4);
    if (letter !== 'u' || !/^[0-9A-Fa-f]{4}$/.test(hex)) this.#fail('an unknown escape', this.#at - 1);
    this.#at += 4;
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text)?.[0];
    if (found === undefined) this.#fail(this.#at < this.#text.length ? 'a value is expected' : 'the file ends here');
    const value = Number(found);
    // A size that is rounded is another size.
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      this.#fail('a number too large to be kept exactly');
    }
    this.#at += found.length;
    return value;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('a value is expected');
    this.#at += word.length;
    return value;
  }

  #taken(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #place(at: number): { line: number; column: number } {
    const lines = this.#text.slice(0, at).split('\n');
    return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
  }

  #fail(what: string, at = this.#at): never {
    const { line, column } = this.#place(at);
    throw new AppError('ERR_DATABASE', `${this.#file}:${line}:${column}: ${what}`);
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
