// What `session -s` shows: octets and PDUs of one session since its first login (RFC 7143 §11, the iSCSI MIB's names).

/** Plain numbers; they survive a replaced connection. */
export class Counters {
  txdata_octets = 0;
  rxdata_octets = 0;
  noptx_pdus = 0;
  scsicmd_pdus = 0;
  tmfcmd_pdus = 0;
  login_pdus = 0;
  text_pdus = 0;
  dataout_pdus = 0;
  logout_pdus = 0;
  snack_pdus = 0;
  noprx_pdus = 0;
  scsirsp_pdus = 0;
  tmfrsp_pdus = 0;
  textrsp_pdus = 0;
  datain_pdus = 0;
  logoutrsp_pdus = 0;
  r2t_pdus = 0;
  async_pdus = 0;
  rjt_pdus = 0;
  digest_err = 0;
  timeout_err = 0;
  /** Commands that were told to abort because they took too long. */
  eh_abort_cnt = 0;
}
