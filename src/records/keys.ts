// Every key of a record with its default, in the order in which open-iscsi 2.1.8 writes and shows them.
// The defaults are those of the stock iscsid.conf where it sets one, else the ones compiled in.

/** Key and default; '' where there is none. */
type KeyTable = readonly (readonly [key: string, value: string])[];

/** A node record: nodes/TARGET/ADDRESS,PORT,TPGT/IFACE. */
export const NODE_KEYS: KeyTable = [
  ['node.name', ''],
  ['node.tpgt', '-1'],
  ['node.startup', 'manual'],
  ['node.leading_login', 'No'],
  ['iface.iscsi_ifacename', 'default'],
  ['iface.net_ifacename', ''],
  ['iface.ipaddress', ''],
  ['iface.prefix_len', '0'],
  ['iface.hwaddress', ''],
  ['iface.transport_name', 'tcp'],
  ['iface.initiatorname', ''],
  ['iface.state', ''],
  ['iface.vlan_id', '0'],
  ['iface.vlan_priority', '0'],
  ['iface.vlan_state', ''],
  ['iface.iface_num', '0'],
  ['iface.mtu', '0'],
  ['iface.port', '0'],
  ['iface.bootproto', ''],
  ['iface.subnet_mask', ''],
  ['iface.gateway', ''],
  ['iface.dhcp_alt_client_id_state', ''],
  ['iface.dhcp_alt_client_id', ''],
  ['iface.dhcp_dns', ''],
  ['iface.dhcp_learn_iqn', ''],
  ['iface.dhcp_req_vendor_id_state', ''],
  ['iface.dhcp_vendor_id_state', ''],
  ['iface.dhcp_vendor_id', ''],
  ['iface.dhcp_slp_da', ''],
  ['iface.fragmentation', ''],
  ['iface.gratuitous_arp', ''],
  ['iface.incoming_forwarding', ''],
  ['iface.tos_state', ''],
  ['iface.tos', '0'],
  ['iface.ttl', '0'],
  ['iface.delayed_ack', ''],
  ['iface.tcp_nagle', ''],
  ['iface.tcp_wsf_state', ''],
  ['iface.tcp_wsf', '0'],
  ['iface.tcp_timer_scale', '0'],
  ['iface.tcp_timestamp', ''],
  ['iface.redirect', ''],
  ['iface.def_task_mgmt_timeout', '0'],
  ['iface.header_digest', ''],
  ['iface.data_digest', ''],
  ['iface.immediate_data', ''],
  ['iface.initial_r2t', ''],
  ['iface.data_seq_inorder', ''],
  ['iface.data_pdu_inorder', ''],
  ['iface.erl', '0'],
  ['iface.max_receive_data_len', '0'],
  ['iface.first_burst_len', '0'],
  ['iface.max_outstanding_r2t', '0'],
  ['iface.max_burst_len', '0'],
  ['iface.chap_auth', ''],
  ['iface.bidi_chap', ''],
  ['iface.strict_login_compliance', ''],
  ['iface.discovery_auth', ''],
  ['iface.discovery_logout', ''],
  ['node.discovery_address', ''],
  ['node.discovery_port', '0'],
  ['node.discovery_type', 'static'],
  ['node.session.initial_cmdsn', '0'],
  ['node.session.initial_login_retry_max', '8'],
  ['node.session.xmit_thread_priority', '-20'],
  ['node.session.cmds_max', '128'],
  ['node.session.queue_depth', '32'],
  ['node.session.nr_sessions', '1'],
  ['node.session.auth.authmethod', 'None'],
  ['node.session.auth.username', ''],
  ['node.session.auth.password', ''],
  ['node.session.auth.username_in', ''],
  ['node.session.auth.password_in', ''],
  ['node.session.auth.chap_algs', 'MD5'],
  ['node.session.timeo.replacement_timeout', '120'],
  ['node.session.err_timeo.abort_timeout', '15'],
  ['node.session.err_timeo.lu_reset_timeout', '30'],
  ['node.session.err_timeo.tgt_reset_timeout', '30'],
  ['node.session.err_timeo.host_reset_timeout', '60'],
  ['node.session.iscsi.FastAbort', 'Yes'],
  ['node.session.iscsi.InitialR2T', 'No'],
  ['node.session.iscsi.ImmediateData', 'Yes'],
  ['node.session.iscsi.FirstBurstLength', '262144'],
  ['node.session.iscsi.MaxBurstLength', '16776192'],
  ['node.session.iscsi.DefaultTime2Retain', '0'],
  ['node.session.iscsi.DefaultTime2Wait', '2'],
  ['node.session.iscsi.MaxConnections', '1'],
  ['node.session.iscsi.MaxOutstandingR2T', '1'],
  ['node.session.iscsi.ERL', '0'],
  ['node.session.scan', 'auto'],
  ['node.session.reopen_max', '0'],
  ['node.conn[0].address', ''],
  ['node.conn[0].port', '3260'],
  ['node.conn[0].startup', 'manual'],
  ['node.conn[0].tcp.window_size', '524288'],
  ['node.conn[0].tcp.type_of_service', '0'],
  ['node.conn[0].timeo.logout_timeout', '15'],
  ['node.conn[0].timeo.login_timeout', '15'],
  ['node.conn[0].timeo.auth_timeout', '45'],
  ['node.conn[0].timeo.noop_out_interval', '5'],
  ['node.conn[0].timeo.noop_out_timeout', '5'],
  ['node.conn[0].iscsi.MaxXmitDataSegmentLength', '0'],
  ['node.conn[0].iscsi.MaxRecvDataSegmentLength', '262144'],
  ['node.conn[0].iscsi.HeaderDigest', 'None'],
  ['node.conn[0].iscsi.DataDigest', 'None'],
  ['node.conn[0].iscsi.IFMarker', 'No'],
  ['node.conn[0].iscsi.OFMarker', 'No'],
];

/** A discovery record: send_targets/ADDRESS,PORT/st_config. */
export const SENDTARGETS_KEYS: KeyTable = [
  ['discovery.startup', 'manual'],
  ['discovery.type', 'sendtargets'],
  ['discovery.sendtargets.address', ''],
  ['discovery.sendtargets.port', '3260'],
  ['discovery.sendtargets.auth.authmethod', 'None'],
  ['discovery.sendtargets.auth.username', ''],
  ['discovery.sendtargets.auth.password', ''],
  ['discovery.sendtargets.auth.username_in', ''],
  ['discovery.sendtargets.auth.password_in', ''],
  ['node.session.auth.chap_algs', 'MD5'],
  ['discovery.sendtargets.timeo.login_timeout', '15'],
  ['discovery.sendtargets.use_discoveryd', 'No'],
  ['discovery.sendtargets.discoveryd_poll_inval', '30'],
  ['discovery.sendtargets.reopen_max', '5'],
  ['discovery.sendtargets.timeo.auth_timeout', '45'],
  ['discovery.sendtargets.timeo.active_timeout', '30'],
  ['discovery.sendtargets.iscsi.MaxRecvDataSegmentLength', '32768'],
];

/** An interface record, ifaces/NAME: the same keys as inside a node record. */
export const IFACE_KEYS: KeyTable = NODE_KEYS.filter(([key]) => key.startsWith('iface.'));

/** Keys that say which record it is and where it came from: iscsid.conf has no say in them, and no change sets them. */
export const OWN_KEYS: ReadonlySet<string> = new Set([
  'node.name',
  'node.tpgt',
  'node.discovery_address',
  'node.discovery_port',
  'node.discovery_type',
  'node.conn[0].address',
  'node.conn[0].port',
  'discovery.type',
  'discovery.sendtargets.address',
  'discovery.sendtargets.port',
]);

/** Shown as ******** unless asked for. */
export const SECRET_KEYS: ReadonlySet<string> = new Set([
  'node.session.auth.password',
  'node.session.auth.password_in',
  'discovery.sendtargets.auth.password',
  'discovery.sendtargets.auth.password_in',
]);

/** Keys of later releases than 2.1.8, and of iscsid itself: accepted without a warning, and kept. */
export const OTHER_KEYS: ReadonlySet<string> = new Set([
  'iscsid.startup',
  'iscsid.safe_logout',
  'iscsid.ipc_auth_uid',
  'node.session.sess_reopen_log_freq',
  'node.conn[0].tcp.congestion_control',
  'isns.address',
  'isns.port',
]);

/** What records made here offer for CHAP. tgt takes number 7, SHA256, for SHA1: so MD5 stands before both. */
export const NEW_RECORD_CHAP_ALGS = 'SHA3-256,MD5,SHA256,SHA1';

/** The keys of a table, in its order. */
export function keysOf(table: KeyTable): string[] {
  return table.map(([key]) => key);
}
