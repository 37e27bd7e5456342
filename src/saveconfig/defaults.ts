// What a new object has before anybody sets anything: the attributes and parameters of Linux 6.1's target, as rtslib saves them.
import type { AluaGroup, SaveConfig, Settings } from './model.js';

export const EMPTY_CONFIG: SaveConfig = { fabric_modules: [], storage_objects: [], targets: [] };

/** Of every backstore; the ones after it differ in what the medium is. */
const BACKSTORE: Settings = {
  alua_support: 1,
  block_size: 512,
  emulate_3pc: 1,
  emulate_caw: 1,
  emulate_dpo: 1,
  emulate_fua_read: 1,
  emulate_fua_write: 1,
  emulate_model_alias: 1,
  emulate_pr: 1,
  emulate_rest_reord: 0,
  emulate_tas: 1,
  emulate_tpu: 0,
  emulate_tpws: 0,
  emulate_ua_intlck_ctrl: 0,
  emulate_write_cache: 0,
  enforce_pr_isids: 1,
  force_pr_aptpl: 0,
  is_nonrot: 0,
  max_unmap_block_desc_count: 1,
  max_unmap_lba_count: 8192,
  max_write_same_len: 4096,
  optimal_sectors: 16_384,
  pgr_support: 1,
  pi_prot_format: 0,
  pi_prot_type: 0,
  pi_prot_verify: 0,
  queue_depth: 128,
  unmap_granularity: 1,
  unmap_granularity_alignment: 0,
  unmap_zeroes_data: 0,
};

/** @param writeBack whether writes may wait in a cache: it is what the write cache attribute starts from */
export function fileioAttributes(writeBack: boolean): Settings {
  return { ...BACKSTORE, emulate_write_cache: writeBack ? 1 : 0 };
}
export const BLOCK_ATTRIBUTES: Settings = {
  ...BACKSTORE,
  is_nonrot: 1,
  max_unmap_lba_count: 8_388_607,
  max_write_same_len: 8_388_607,
  optimal_sectors: 2560,
  unmap_granularity: 8,
};
export const RAMDISK_ATTRIBUTES: Settings = {
  ...BACKSTORE,
  is_nonrot: 1,
  max_unmap_block_desc_count: 0,
  max_unmap_lba_count: 0,
  max_write_same_len: 0,
  optimal_sectors: 4_294_967_288,
  unmap_granularity: 0,
};
export const PSCSI_ATTRIBUTES: Settings = { alua_support: 0, emulate_pr: 1, pgr_support: 0 };
export const USER_ATTRIBUTES: Settings = { ...BACKSTORE, emulate_3pc: 0, emulate_caw: 0, emulate_pr: 1 };

/** The group that every storage object but pscsi's starts with. */
export const DEFAULT_ALUA_GROUP: AluaGroup = {
  alua_access_state: 0,
  alua_access_status: 0,
  alua_access_type: 3,
  alua_support_active_nonoptimized: 1,
  alua_support_active_optimized: 1,
  alua_support_offline: 1,
  alua_support_standby: 1,
  alua_support_transitioning: 1,
  alua_support_unavailable: 1,
  alua_write_metadata: 0,
  implicit_trans_secs: 0,
  name: 'default_tg_pt_gp',
  nonop_delay_msecs: 100,
  preferred: 0,
  tg_pt_gp_id: 0,
  trans_delay_msecs: 0,
};

/** Of an iSCSI target. */
export const TARGET_PARAMETERS: Settings = { cmd_completion_affinity: '-1' };

export const TPG_ATTRIBUTES: Settings = {
  authentication: 0,
  cache_dynamic_acls: 0,
  default_cmdsn_depth: 64,
  default_erl: 0,
  demo_mode_discovery: 1,
  demo_mode_write_protect: 1,
  fabric_prot_type: 0,
  generate_node_acls: 0,
  login_keys_workaround: 1,
  login_timeout: 15,
  netif_timeout: 2,
  prod_mode_write_protect: 0,
  t10_pi: 0,
  tpg_enabled_sendtargets: 1,
};

export const TPG_PARAMETERS: Settings = {
  AuthMethod: 'CHAP,None',
  DataDigest: 'CRC32C,None',
  DataPDUInOrder: 'Yes',
  DataSequenceInOrder: 'Yes',
  DefaultTime2Retain: '20',
  DefaultTime2Wait: '2',
  ErrorRecoveryLevel: '0',
  FirstBurstLength: '65536',
  HeaderDigest: 'CRC32C,None',
  IFMarkInt: 'Reject',
  IFMarker: 'No',
  ImmediateData: 'Yes',
  InitialR2T: 'Yes',
  MaxBurstLength: '262144',
  MaxConnections: '1',
  MaxOutstandingR2T: '1',
  MaxRecvDataSegmentLength: '8192',
  MaxXmitDataSegmentLength: '262144',
  OFMarkInt: 'Reject',
  OFMarker: 'No',
  TargetAlias: 'LIO Target',
};

export const ACL_ATTRIBUTES: Settings = {
  authentication: -1,
  dataout_timeout: 3,
  dataout_timeout_retries: 5,
  default_erl: 0,
  nopin_response_timeout: 30,
  nopin_timeout: 15,
  random_datain_pdu_offsets: 0,
  random_datain_seq_offsets: 0,
  random_r2t_offsets: 0,
};
