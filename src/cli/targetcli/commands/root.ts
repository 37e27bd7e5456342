// The commands of the root: the saved configuration, and who is logged in.
import { invalid } from '../../../saveconfig/edits/edit.js';
import { clearAll, restoreInto } from '../../../saveconfig/edits/restore.js';
import { boolWord } from '../../../saveconfig/edits/words.js';
import type { SessionRow } from '../../../services/target/store.js';
import { AppError } from '../../../util/errors.js';
import { type Call, type Command, define } from '../command.js';
import { expandHome } from '../home.js';
import { sessionsText } from '../sessions-text.js';

export const ROOT: readonly Command[] = [
  define('clearconfig', ['[confirm]'], 'Deletes everything, if confirm=True is given.', async ({ shell, params }) => {
    if (!boolWord(params.confirm, false)) throw invalid('As a precaution, confirm=True needs to be set');
    await shell.change({ config: clearAll(shell.config), lines: ['All configuration cleared'] });
    return undefined;
  }),
  define(
    'restoreconfig',
    ['[savefile]', '[clear_existing]', '[target]', '[storage_object]'],
    'Puts a saved configuration back, or one target or storage object of it. clear_existing=true: what is there goes first. All of it is restored, or nothing.',
    restore,
  ),
  define(
    'saveconfig',
    ['[savefile]'],
    'Saves the configuration, in the usual place or in a file.',
    async ({ shell, params }) => {
      await shell.save(params.savefile === undefined ? undefined : expandHome(params.savefile));
      return undefined;
    },
  ),
  define(
    'sessions',
    ['[action]', '[sid]'],
    'Shows who is logged in: sessions list, sessions detail, sessions detail SID.',
    sessions,
  ),
  define('version', [], 'Shows the version.', ({ shell }) => shell.say(`lunctl version ${shell.version}`) as undefined),
];

async function restore({ shell, params }: Call): Promise<undefined> {
  const file = params.savefile === undefined ? shell.savePath : expandHome(params.savefile);
  const saved = await shell.readSaved(file);
  if (saved === null) return shell.say(`Restore file ${file} not found`) as undefined;
  const clearExisting = boolWord(params.clear_existing, false);
  const options = { clearExisting, target: params.target, storageObject: params.storage_object };
  const { config } = restoreInto(shell.config, saved, options);
  await shell.change({ config, lines: [`Configuration restored from ${file}`] });
  return undefined;
}

async function sessions({ shell, params }: Call): Promise<undefined> {
  const { action = 'list', sid } = params;
  if (action !== 'list' && action !== 'detail') throw invalid('action must be one of: list, detail');
  if (sid !== undefined && !/^\d{1,9}$/.test(sid)) throw invalid(`sid must be a number, '${sid}' given`);
  const rows: readonly SessionRow[] = await shell.sessions();
  const wanted = sid === undefined ? rows : rows.filter((row) => row.sid === Number(sid));
  if (wanted.length === 0 && sid !== undefined)
    throw new AppError('ERR_SESSION_NOT_FOUND', `no session found with sid ${Number(sid)}`);
  shell.say(wanted.length === 0 ? '(no open sessions)' : sessionsText(wanted, action === 'detail'));
  return undefined;
}
