// What the lun commands share: naming a LUN, keys of reservations, and finding the session that has it.
import { Args, Flags } from '@oclif/core';
import { RESERVATION_TYPE_WORDS } from '../scsi/persistent-reserve.js';
import type { LunPlace, ReserveOutRequest } from '../services/lun/control.js';
import type { LunTarget } from '../services/lun/name.js';
import type { SessionInfo } from '../services/session/info.js';
import { AppError } from '../util/errors.js';
import { BaseCommand } from './base-command.js';
import { sidFlag } from './flags.js';
import type { lunRegister } from './schemas/lun.js';
import type { Result } from './schemas/parts.js';

const about = 'The LUN: TARGET/LUN, /dev/nbd0, nbd0, or lun1 where only one session has such a LUN.';

export const lunArgument = { lun: Args.string({ name: 'LUN', required: true, description: about }) };
export const lunArgumentOrAll = {
  lun: Args.string({ name: 'LUN', description: `${about} Without it all are meant.` }),
};
export const sessionFlag = { sid: sidFlag({ summary: 'Number of the session that has the LUN.' }) };

/** 64 bits, decimal or 0x…, as the worker takes it. @throws AppError ERR_USAGE */
export function parseKey(text: string): string {
  const key = /^(?:\d{1,20}|0x[0-9a-f]{1,16})$/i.test(text) ? BigInt(text) : -1n;
  if (key >= 0n && key < 2n ** 64n) return `0x${key.toString(16)}`;
  throw new AppError('ERR_USAGE', 'a reservation key is a number of 64 bits: 4711, or 0x… with 1 to 16 digits');
}

/** A reservation key. */
export const keyFlag = Flags.custom<string>({ helpValue: 'KEY', parse: async (text) => parseKey(text) });

/** The key by which this session is known to the unit. */
export const ownKeyFlag = keyFlag({ summary: 'The key that this session is registered with.', required: true });

type TypeWord = keyof typeof RESERVATION_TYPE_WORDS;
export const typeFlag = Flags.option({
  summary: 'Type of the reservation.',
  options: Object.keys(RESERVATION_TYPE_WORDS) as TypeWord[],
});

export type ReservationChangeJson = Result<typeof lunRegister>;

export abstract class LunCommand extends BaseCommand {
  /** The sessions that answer, or the one of that number; dead ones are named in a warning. */
  protected async sessions(sid?: number): Promise<readonly SessionInfo[]> {
    const { listSessions } = await import('../services/session/registry.js');
    const { registryWarnings } = await import('../services/records/sessions.js');
    const list = await this.waiting('asking the sessions', () =>
      listSessions(this.paths, { signal: this.abortSignal }),
    );
    for (const text of registryWarnings(list)) this.warning(text);
    const sessions = list.sessions.filter((session) => sid === undefined || session.sid === sid);
    if (sid !== undefined && sessions.length === 0) throw new AppError('ERR_SESSION_NOT_FOUND', `no session ${sid}`);
    return sessions;
  }

  /** The LUN that a person means. */
  protected async lun(name: string, sid: number | undefined): Promise<LunTarget & { readonly place: LunPlace }> {
    const { findLun } = await import('../services/lun/name.js');
    const target = findLun(name, await this.sessions(sid));
    return { ...target, place: { sid: target.session.sid, lun: target.device.lun } };
  }

  /** Does a change of reservations; `done` tells a person. */
  protected async reserveOut(
    target: LunTarget & { readonly place: LunPlace },
    request: ReserveOutRequest,
    done: string,
  ): Promise<ReservationChangeJson> {
    const { changeReservations } = await import('../services/lun/control.js');
    await this.waiting(`asking ${target.fullName}`, () =>
      changeReservations(this.paths, target.place, request, { signal: this.abortSignal }),
    );
    this.render(`${target.fullName}: ${done}`);
    const { session, device } = target;
    return { sid: session.sid, targetName: session.targetName, lun: device.lun, action: request.action };
  }

  /** The type of the reservation that is held, where the caller has named none. */
  protected async heldType(place: LunPlace): Promise<string | undefined> {
    const { lunReservations } = await import('../services/lun/control.js');
    return (await lunReservations(this.paths, place, { signal: this.abortSignal })).reservation?.type;
  }
}
