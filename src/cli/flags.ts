// Flags and arguments that several commands share, parsed into values.
import { Args, Flags } from '@oclif/core';
import { parsePortal } from '../iscsi/portal.js';
import { AppError } from '../util/errors.js';

/** A portal as typed. `explicitPort` is null when none was written: then a filter matches every port. */
export interface PortalValue {
  readonly address: string;
  readonly port: number;
  readonly explicitPort: number | null;
  /** The tag behind a comma; only a record that is made by hand has a use for it. */
  readonly group: number | null;
}

/** HOST[:PORT][,TPGT]. @throws AppError ERR_USAGE */
export function parsePortalValue(text: string): PortalValue {
  const { address, port, tpgt } = parsePortal(text);
  // An IPv6 address without brackets cannot carry a port.
  const bare = text.replace(/,\d+$/, '');
  const written = bare.startsWith('[') ? /\]:\d+$/.test(bare) : /^[^:]+:\d+$/.test(bare);
  return { address, port, explicitPort: written ? port : null, group: tpgt };
}

const portalSummary = 'HOST, HOST:PORT or [IPV6]:PORT; port 3260 if none is given.';

/** `-p`, for commands that filter by portal or connect to one. */
export const portalFlag = Flags.custom<PortalValue>({
  char: 'p',
  summary: portalSummary,
  helpValue: 'PORTAL',
  parse: async (text) => parsePortalValue(text),
});

export const portalArg = Args.custom<PortalValue>({
  description: portalSummary,
  parse: async (text) => parsePortalValue(text),
});

/** The portal that a command cannot do without, as an argument or by -p. @throws AppError ERR_USAGE */
export function requirePortal(arg: PortalValue | undefined, flag: PortalValue | undefined): PortalValue {
  const portal = sameOf(arg, flag, '--portal');
  if (portal !== undefined) return portal;
  throw new AppError('ERR_USAGE', 'which portal?', { hint: 'give HOST, HOST:PORT or [IPV6]:PORT' });
}

/** `-T`: the same as the TARGET argument. */
export const targetFlag = Flags.custom<string>({
  char: 'T',
  summary: 'Name of the target; the same as the argument.',
  helpValue: 'TARGET',
  parse: async (text) => text,
});

export const targetArg = Args.custom<string>({
  description: 'Name of the target, NAME@PORTAL, or on a terminal the end of a name that fits only one.',
  parse: async (text) => text,
});

/** For commands on one interface record. */
export const ifaceArgs = {
  name: Args.string({ description: 'Name of the interface record.', required: true }),
};

/** `-I`: an interface record. */
export const ifaceFlag = Flags.custom<string>({
  char: 'I',
  summary: 'Name of an interface record.',
  helpValue: 'IFACE',
  parse: async (text) => text,
});

/** `-P` as iscsiadm has it. */
export function printLevelFlag(most: number) {
  return Flags.integer({
    char: 'P',
    summary: `How much to show, 0 to ${most}; written as iscsiadm does.`,
    helpValue: `0..${most}`,
    min: 0,
    max: most,
  });
}

/** `-r`: a session's number. */
export const sidFlag = Flags.custom<number>({
  char: 'r',
  summary: 'Number of the session.',
  helpValue: 'SID',
  parse: async (text) => parseSid(text),
});

/** The same as an argument. */
export const sidArg = Args.custom<number>({
  description: 'Number of the session; the same as -r.',
  parse: async (text) => parseSid(text),
});

/** @throws AppError ERR_USAGE */
function parseSid(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new AppError('ERR_USAGE', 'the session number must be a whole number from 1');
}

/** @throws AppError ERR_USAGE when --all comes with the name of a target, which oclif checks for flags only */
export function refuseAllOf(all: boolean, target: string | undefined): void {
  if (all && target !== undefined) throw new AppError('ERR_USAGE', '--all cannot also be given with a target');
}

/**
 * One value given as an argument, as a flag, or as both if they agree.
 * @throws AppError ERR_USAGE when they differ
 */
export function sameOf<T>(arg: T | undefined, flag: T | undefined, name: string): T | undefined {
  if (arg !== undefined && flag !== undefined && JSON.stringify(arg) !== JSON.stringify(flag)) {
    throw new AppError('ERR_USAGE', `the argument and ${name} name different things`, { hint: 'give one of them' });
  }
  return arg ?? flag;
}
