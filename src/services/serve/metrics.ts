// What a running target has counted, as Prometheus text (exposition format 0.0.4).
import { loginStatusHex } from '../../iscsi/login-status.js';
import type { EndCause, TargetEvent } from '../../target/events.js';
import type { LiveTarget } from './live-target.js';

/** Sums of what has happened since the start. */
export class Counters {
  logins = 0;
  discoveries = 0;
  faults = 0;
  readonly refusals = new Map<number, number>();
  readonly ends = new Map<EndCause, number>();

  count(event: TargetEvent): void {
    switch (event.kind) {
      case 'login':
        if (event.targetName === null) this.discoveries++;
        else this.logins++;
        return;
      case 'refuse':
        this.refusals.set(event.status, (this.refusals.get(event.status) ?? 0) + 1);
        return;
      case 'end':
        if (event.targetName !== null) this.ends.set(event.cause, (this.ends.get(event.cause) ?? 0) + 1);
        return;
      case 'fault':
        this.faults++;
        return;
      case 'omitted':
        return;
    }
  }
}

type Sample = readonly [labels: Readonly<Record<string, string | number>>, value: number];

export function metricsText(live: LiveTarget, counters: Counters): string {
  const sessions = new Map<string, number>();
  for (const { targetName, type } of live.sessions()) {
    if (type === 'Normal') sessions.set(targetName ?? '', (sessions.get(targetName ?? '') ?? 0) + 1);
  }
  for (const { fabric, wwn } of live.config.targets) {
    if (fabric === 'iscsi' && !sessions.has(wwn)) sessions.set(wwn, 0);
  }
  const { backstores } = live.snapshot().status;
  return [
    family(
      'sessions',
      'gauge',
      'Sessions that are logged in.',
      [...sessions].map(([target, n]) => [{ target }, n]),
    ),
    family('pending_connections', 'gauge', 'Connections that have not logged in.', [[{}, live.connections.pending]]),
    family('held_write_bytes', 'gauge', 'Write data that is held in memory.', [[{}, live.heldBytes]]),
    family('logins_total', 'counter', 'Logins that were accepted.', [
      [{ type: 'normal' }, counters.logins],
      [{ type: 'discovery' }, counters.discoveries],
    ]),
    family(
      'login_refusals_total',
      'counter',
      'Logins that were refused, by the status of RFC 7143 §11.13.5.',
      [...counters.refusals].map(([status, n]) => [{ status: loginStatusHex(status) }, n]),
    ),
    family(
      'session_ends_total',
      'counter',
      'Sessions that have ended.',
      [...counters.ends].map(([cause, n]) => [{ cause }, n]),
    ),
    family('faults_total', 'counter', 'Connections that were dropped for what they sent.', [[{}, counters.faults]]),
    family(
      'backstore_size_bytes',
      'gauge',
      'Size of a storage object that is served.',
      Object.entries(backstores).flatMap(([backstore, { sizeBytes }]) =>
        sizeBytes === null ? [] : [[{ backstore }, sizeBytes]],
      ),
    ),
  ].join('');
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const full = `lunctl_target_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labelText(labels)} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`;
}

function labelText(labels: Readonly<Record<string, string | number>>): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
