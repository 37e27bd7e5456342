// Calls of the C library that Node itself does not offer, by the optional koffi: this is the one place that loads it.
import type { LibraryHandle } from 'koffi';

/** Takes and returns what its prototype says. */
export type NativeFunction = ReturnType<LibraryHandle['func']>;

export interface CLibrary {
  /** A function by its C prototype (`int prctl(int option, …)`); `.async` runs it off the event loop. Throws if there is none. */
  func(prototype: string): NativeFunction;
  /** `errno` of the last call, to be read within the same turn, or within the callback of an asynchronous one. */
  errno(): number;
}

let loaded: Promise<CLibrary | null> | null = null;

/** The C library; null where koffi is not installed or there is no glibc. Looked for once, about 10 ms. */
export function cLibrary(): Promise<CLibrary | null> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<CLibrary | null> {
  // For tests of what is done without it.
  if (process.env.LUNCTL_WITHOUT_KOFFI === '1') return null;
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load('libc.so.6');
    return { func: (prototype) => library.func(prototype), errno: () => koffi.errno() };
  } catch {
    return null;
  }
}
