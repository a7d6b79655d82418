// The JavaScript client as it would be published: the files that `npm pack` takes, beside this folder's packages.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PACKAGE = fileURLToPath(new URL('../../../clients/js', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../node_modules', import.meta.url));

export async function packed() {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json'], { cwd: PACKAGE });
  return JSON.parse(stdout)[0];
}

// A folder with node_modules/@pg-rt/client in it.
export async function install() {
  const folder = await mkdtemp(join(tmpdir(), 'rt-kit-'));
  const target = join(folder, 'node_modules/@pg-rt/client');
  for (const { path } of (await packed()).files) {
    await mkdir(dirname(join(target, path)), { recursive: true });
    await cp(join(PACKAGE, path), join(target, path));
  }
  for (const name of await readdir(PACKAGES)) {
    if (!name.startsWith('.')) await symlink(join(PACKAGES, name), join(folder, 'node_modules', name));
  }
  return { folder, load: () => import(pathToFileURL(join(target, 'src/index.js'))), remove: () => rm(folder, { recursive: true, force: true }) };
}

// A way to the gateway that can be cut.
export async function detour(cluster) {
  const { hostname, port } = new URL(cluster.url);
  const pairs = new Set();
  const way = { isOpen: true, swallows: false };
  const server = createServer((near) => {
    near.on('error', () => {});
    if (!way.isOpen) {
      near.destroy();
      return;
    }
    const far = dial(Number(port), hostname);
    const pair = { near, far };
    pairs.add(pair);
    far.on('error', () => {});
    near.pipe(far);
    // The server gets all, the client hears nothing.
    far.on('data', (data) => { if (!way.swallows) near.write(data); });
    const end = () => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    near.on('close', end);
    far.on('close', end);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  way.url = `http://127.0.0.1:${server.address().port}`;
  way.cut = () => {
    way.isOpen = false;
    for (const { near, far } of [...pairs]) {
      near.destroy();
      far.destroy();
    }
  };
  way.open = () => { way.isOpen = true; };
  way.close = () => {
    way.cut();
    server.close();
  };
  return way;
}
