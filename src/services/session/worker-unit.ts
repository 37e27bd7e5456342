// A session worker as a unit of systemd: it must neither end with the login shell that it was made from, nor before the file
// systems on its disks are unmounted.

/** The system calls of a worker and its helpers: those of any service, mounts, modprobe, and what V8 guards its code with. */
export const SYSTEM_CALLS = '@system-service @mount @module @pkey';

/**
 * What systemd is told of a worker's unit. It ends with a logout, and at shutdown after the file systems on its disks are
 * unmounted (they come after remote-fs-pre.target) and before the network goes; lunctl-login.service logs out before it
 * is stopped. An ordering holds at shutdown only by way of units that are up then: hence the Wants. What the unit may do is
 * bounded, but it keeps the mounts and devices of the host, because it makes some, and V8 writes code while it runs.
 */
export const UNIT_PROPERTIES = [
  'DefaultDependencies=no',
  'Conflicts=shutdown.target',
  'Wants=remote-fs-pre.target',
  'Before=shutdown.target remote-fs-pre.target lunctl-login.service',
  'After=network.target network-online.target',
  'KillMode=mixed',
  'TimeoutStopSec=20',
  // The disk of a file system that is to be written back must not fall to the lack of memory that this is to end.
  'OOMScoreAdjust=-1000',
  // Nor may it wait for its own pages, which could be on such a disk.
  'MemorySwapMax=0',
  // A core file would hold secrets.
  'LimitCORE=0',
  'UMask=0077',
  'NoNewPrivileges=yes',
  'KeyringMode=private',
  'LockPersonality=yes',
  'ProtectHostname=yes',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'SystemCallArchitectures=native',
  `SystemCallFilter=${SYSTEM_CALLS}`,
  'SystemCallErrorNumber=EPERM',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
  // SYS_RESOURCE: for PR_SET_IO_FLUSHER.
  'CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_MODULE CAP_SYS_RESOURCE CAP_MKNOD CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_KILL',
] as const;

/** The command that starts a worker; `systemd`: in a unit of its own. */
export function workerCommand(
  sid: number,
  entry: readonly string[],
  { systemd, environment }: { readonly systemd: boolean; readonly environment: Readonly<Record<string, string>> },
): readonly [string, ...string[]] {
  if (!systemd) return [process.execPath, ...entry];
  return [
    'systemd-run',
    '--quiet',
    '--collect',
    '--pipe',
    `--unit=lunctl-session-${sid}`,
    `--description=lunctl session ${sid}`,
    ...UNIT_PROPERTIES.map((property) => `--property=${property}`),
    ...Object.entries(environment).map(([name, value]) => `--setenv=${name}=${value}`),
    '--',
    process.execPath,
    ...entry,
  ];
}
