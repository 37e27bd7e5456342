// What the chap commands print.
import * as v from 'valibot';
import { error, firstError } from './error.js';
import { choice, document, flag, list, portal, text, textOrNull } from './parts.js';

const holder = {
  type: choice(['node', 'discovery'], 'Of a target, or of a portal that is asked for targets.'),
  targetName: textOrNull('iSCSI name of the target; null for discovery.'),
  portal,
  iface: textOrNull('Name of the iface record; null for discovery.'),
};
const strength = (whose: string) =>
  choice(['none', 'weak', 'good'], `Whether there is a secret of ${whose}; weak: of less than 12 bytes.`);
const secret = (whose: string) =>
  textOrNull(`The secret of ${whose}: ******** unless it was asked for; null where there is none.`);
const method = choice(['CHAP', 'None'], 'What a login does.');
const user = textOrNull('CHAP user name that the initiator gives.');
const mutualUser = textOrNull('CHAP user name that the target must give; empty: any.');

export const chapShow = document('chap-show', 'The CHAP credentials that are stored.', {
  records: list(
    v.strictObject({
      ...holder,
      method,
      user,
      secret: secret('the initiator'),
      secretStrength: strength('the initiator'),
      mutualUser,
      mutualSecret: secret('the target'),
      mutualSecretStrength: strength('the target'),
      algorithms: list(text('MD5, SHA1, SHA256 or SHA3-256.'), 'What is offered, the best first.'),
      from: v.pipe(
        v.nullable(v.picklist(['record', 'iscsid.conf'])),
        v.description('Where the credentials stand; null where there are none.'),
      ),
    }),
    'One for each record.',
  ),
});

const trials = list(
  v.strictObject({
    ...holder,
    accepted: flag('Whether the login was accepted.'),
    algorithm: textOrNull('The CHAP algorithm that the target chose; null where the login was not accepted.'),
    mutual: flag('Whether the target has proved itself too.'),
    error: v.exactOptional(error),
  }),
  'One login for each record.',
);

export const chapTest = document('chap-test', 'What targets say to the credentials that are stored.', {
  trials,
  error: firstError,
});

export const chapSetup = document('chap-setup', 'CHAP credentials that were stored.', {
  records: list(v.strictObject({ ...holder, path: text('The file.') }), 'The records that hold them now.'),
  user: text('CHAP user name that the initiator gives.'),
  mutualUser,
  trials,
});

export const chapClear = document('chap-clear', 'CHAP credentials that were removed.', {
  records: list(v.strictObject({ ...holder, path: text('The file.') }), 'The records that hold none now.'),
});
