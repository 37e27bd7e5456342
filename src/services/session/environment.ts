// What a login request says about the surroundings of its session's core: timers and bounds.
import { DEFAULT_TIMERS, type InitiatorEnvironment } from '../../initiator/options.js';
import type { LoginRequest } from './info.js';

export function environmentOf({
  timers,
  limits = {},
}: Pick<LoginRequest, 'timers' | 'limits'>): Pick<InitiatorEnvironment, 'timers' | 'mostCommands' | 'queueDepth'> {
  const { commands, queueDepth } = limits;
  return {
    timers: { ...DEFAULT_TIMERS, ...timers },
    ...(commands === undefined ? {} : { mostCommands: commands }),
    ...(queueDepth === undefined ? {} : { queueDepth }),
  };
}
