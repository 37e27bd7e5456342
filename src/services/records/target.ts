// Which targets a command means: by name, by NAME@PORTAL, on a terminal by the end of a name, or the only one there is.
import { isIscsiName } from '../../iscsi/names.js';
import { parsePortal } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import { printable } from '../../util/printable.js';

/** As typed, with `port` null where none was written. */
export interface TargetChoice {
  readonly target?: string | undefined;
  readonly portal?: { readonly address: string; readonly port: number | null } | undefined;
  /** Name of an interface; undefined matches all. */
  readonly iface?: string | undefined;
  readonly all: boolean;
  /** Whether the end of a name is enough. */
  readonly suffix: boolean;
}

/** A thing with a target and a portal: a record or a session. */
export interface Candidate {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly iface: string;
}

/** NAME@PORTAL in its two parts. @throws AppError ERR_USAGE */
export function splitTarget(choice: TargetChoice): TargetChoice {
  const [name, at, ...rest] = choice.target?.split('@') ?? [];
  if (name === undefined || at === undefined) return choice;
  if (rest.length > 0 || choice.portal !== undefined) {
    throw new AppError('ERR_USAGE', 'the portal is given twice', { hint: 'write NAME@PORTAL or -p PORTAL' });
  }
  const { address, port } = parsePortal(at);
  return { ...choice, target: name, portal: { address, port: /(^[^:]+|\]):\d+(,\d+)?$/.test(at) ? port : null } };
}

/**
 * Those of `candidates` that are meant, in their order. An empty choice is good for one target only.
 * @throws AppError ERR_USAGE with the list when it could be several targets
 */
export function chooseTargets<T extends Candidate>(candidates: readonly T[], choice: TargetChoice): readonly T[] {
  const inPortal = candidates.filter(
    ({ address, port, iface }) =>
      (choice.iface === undefined || choice.iface === iface) &&
      (choice.portal === undefined ||
        (address.toLowerCase() === choice.portal.address.toLowerCase() && (choice.portal.port ?? port) === port)),
  );
  if (choice.target === undefined) {
    if (choice.all || choice.portal !== undefined || choice.iface !== undefined) return inPortal;
    return onlyTarget(inPortal, 'several targets could be meant', 'name one, or add --all');
  }
  const { target } = choice;
  const exact = inPortal.filter(({ targetName }) => targetName === target);
  if (exact.length > 0 || isIscsiName(target)) return exact;
  const ending = inPortal.filter(({ targetName }) => targetName.endsWith(target));
  if (choice.suffix)
    return onlyTarget(ending, `"${printable(target, 223)}" fits several targets`, 'write more of the name');
  const names = namesOf(ending);
  if (names.length === 0) return [];
  throw new AppError('ERR_USAGE', `"${printable(target, 223)}" is not the whole name of a target`, {
    hint: `did you mean ${names.join(', ')}?`,
  });
}

function onlyTarget<T extends Candidate>(candidates: readonly T[], complaint: string, hint: string): readonly T[] {
  const names = namesOf(candidates);
  if (names.length <= 1) return candidates;
  throw new AppError('ERR_USAGE', `${complaint}: ${names.join(', ')}`, { hint });
}

function namesOf(candidates: readonly Candidate[]): string[] {
  return [...new Set(candidates.map(({ targetName }) => targetName))];
}
