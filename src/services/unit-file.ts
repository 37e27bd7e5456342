// Unit files for systemd, with the absolute paths of this installation in them.
import { SYSTEM_CALLS } from './session/worker-unit.js';

/** How this program is started: Node and its script, absolute. */
export interface Program {
  readonly node: string;
  readonly script: string;
}

/**
 * lunctl-login.service: logs in at boot with every record whose node.startup is automatic, and ends every session at
 * shutdown, after the file systems on them (which come after remote-fs-pre.target) and before the network. The sessions
 * are units of their own. There is no mount namespace in it: what a killed session has left is unmounted for the host.
 */
export function loginUnit(program: Program): string {
  const lunctl = `${quoted(program.node)} ${quoted(program.script)}`;
  return `# Made by: lunctl config unit login
[Unit]
Description=Sessions to iSCSI targets (lunctl)
Documentation=man:lunctl-node(8) man:lunctl-config(8)
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target remote-fs-pre.target
Wants=network-online.target remote-fs-pre.target modprobe@nbd.service
After=network.target network-online.target nss-lookup.target systemd-remount-fs.service modprobe@nbd.service
RequiresMountsFor=/etc /var/lib
ConditionDirectoryNotEmpty=|/etc/iscsi/nodes
ConditionDirectoryNotEmpty=|/var/lib/iscsi/nodes

[Service]
Type=oneshot
RemainAfterExit=yes
# 21: no record asks for it, or there is no session.
SuccessExitStatus=21
ExecStart=${lunctl} node login --automatic --ignore-existing --no-input
ExecStop=${lunctl} node logout --all --no-input
TimeoutStartSec=180
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
ProtectHostname=yes
SystemCallArchitectures=native
SystemCallFilter=${SYSTEM_CALLS}
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE CAP_FOWNER CAP_CHOWN CAP_KILL

[Install]
WantedBy=remote-fs.target
`;
}

/**
 * lunctl-serve.service: serves the saved configuration from boot to shutdown, before this host logs in anywhere: it may be
 * its own initiator. A disk that is not there yet is waited for by starting again.
 */
export function serveUnit(program: Program, config: string): string {
  const lunctl = `${quoted(program.node)} ${quoted(program.script)}`;
  return `# Made by: lunctl config unit serve
[Unit]
Description=iSCSI target of ${config.replaceAll('%', '%%')} (lunctl)
Documentation=man:lunctl-serve(8) man:lunctl-target(8)
Wants=network-online.target
After=network-online.target nss-lookup.target local-fs.target
Before=lunctl-login.service remote-fs-pre.target
RequiresMountsFor=${quoted(config)}
ConditionPathExists=${config.replaceAll('%', '%%')}
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart=${lunctl} serve --config ${quoted(config)} --no-input
# Ended by SIGTERM.
SuccessExitStatus=143
Restart=on-failure
RestartSec=5
TimeoutStopSec=30
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
ProtectHostname=yes
SystemCallArchitectures=native
SystemCallFilter=${SYSTEM_CALLS}
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_FOWNER CAP_NET_BIND_SERVICE CAP_SYS_RAWIO CAP_SYS_ADMIN

[Install]
WantedBy=multi-user.target
`;
}

/** One word of an Exec line: systemd.service(5), "Command lines". */
function quoted(path: string): string {
  const escaped = path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
