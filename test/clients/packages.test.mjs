// What ships rt_gateway and rt_media without a server: the packages, the containers and the compose file say the same.
import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parse } from 'yaml';

const file = (name) => new URL(`../../${name}`, import.meta.url);
const text = (name) => readFile(file(name), 'utf8');

for (const [name, port] of [['gateway', 4501], ['media', 4502]]) {
  describe(`rt_${name}`, () => {
    test('the package needs no server, and has the program, its unit, its manual page and an example', async () => {
      const [, fields] = (await text('debian/control.in')).match(new RegExp(`\\nPackage: rt-${name}\\n([^]*?)(?:\\n\\n|$)`));
      assert.doesNotMatch(fields.match(/Depends:[^]*?\nDescription/)[0], /postgresql/);
      const rules = await text('debian/rules');
      assert.match(rules, /install -m 755 \$\$lib\/rt_\$\$p debian\/rt-\$\$p\/usr\/lib\/rt\//);
      assert.ok(rules.includes(`dh_installman -prt-${name} debian/rt_${name}.8`) && rules.includes(`dh_installexamples -prt-${name} debian/${name}.conf`));
      assert.match(await text(`debian/rt_${name}.8`), new RegExp(`/etc/rt/${name}\\.conf`));
      const unit = await text(`examples/systemd/rt-${name}.service`);
      assert.match(unit, new RegExp(`^ExecStart=\\S*/rt_${name} --config /etc/rt/${name}\\.conf$`, 'm'));
      const [, user] = unit.match(/^User=(.*)$/m);
      assert.match(await text(`debian/rt-${name}.sysusers`), new RegExp(`^u ${user} `));
    });

    test('the example has only keys that docs/cluster.md names', async () => {
      const known = [...(await text('docs/cluster.md')).matchAll(/^\| `(\w+)` \| (both|gateway|media) \|/gm)];
      const mine = known.filter(([, , program]) => program === 'both' || program === name).map(([, key]) => key);
      const example = await text(`debian/${name}.conf`);
      const used = [...example.matchAll(/^#?(\w+) = /gm)].map(([, key]) => key);
      assert.deepEqual(used.filter((key) => !mine.includes(key)), []);
      assert.ok(used.includes('conninfo'));
      assert.match(example, new RegExp(`^port = ${port}$`, 'm'));
    });

    test('the container is built from files that are there, with the paths of the package', async () => {
      const lines = (await text(`container/${name}.Containerfile`)).replace(/\\\n\s*/g, '').split('\n');
      for (const [, source, into] of lines.map((line) => line.match(/^COPY --from=build (\S+) (\S+)$/)).filter(Boolean)) {
        assert.match(source, new RegExp(`^/rt/usr/lib/postgresql/15/lib/rt_(${name}|www/)$`));
        assert.match(into, /^\/usr\/lib\/rt\//);
      }
      const local = lines.filter((line) => /^COPY (?!--from)/.test(line)).map((line) => line.split(/\s+/)[1]);
      for (const source of local) await access(file(source));
      assert.ok(lines.includes(`RUN ln -s ../lib/rt/rt_${name} /usr/bin/rt_${name}`));
      assert.ok(lines.includes(`ENTRYPOINT ["rt_${name}", "--config", "/etc/rt/${name}.conf"]`));
      assert.ok(lines.some((line) => line.startsWith(`EXPOSE ${port}`)));
      // The server's image has these libraries too, and builds in the same way.
      const server = await text('Containerfile');
      const own = lines.findLast((line) => line.includes('apt-get install'));
      assert.doesNotMatch(own, /postgresql/);
      for (const library of own.match(/lib\w[\w.-]*/g).filter((found) => !/^lib(ssl3)$/.test(found) && !found.startsWith('lib/'))) assert.ok(server.includes(library), library);
      for (const line of lines.filter((found) => /^RUN cd \/src|^ADD /.test(found))) assert.ok(server.includes(line), line);
    });
  });
}

test('the compose file has the images, ports and configuration of both', async () => {
  const { services } = parse(await text('examples/compose/programs.yaml'));
  for (const [service, name] of [['rt', 'gateway'], ['media', 'media']]) {
    assert.equal(services[service].image, `rt-${name}`);
    assert.deepEqual(services[service].volumes, [`./${name}.conf:/etc/rt/${name}.conf:ro`]);
  }
  assert.deepEqual(services.media.ports, ['4502:4502/udp', '4502:4502/tcp']);
  assert.match(await text('examples/compose/Caddyfile'), /reverse_proxy rt:4501/);
  // Only the proxy reaches port 4501, so it is believed about addresses.
  assert.equal(services.rt.ports, undefined);
  for (const mount of services.caddy.volumes.filter((one) => one.startsWith('./'))) await access(file(`examples/compose/${mount.split(':')[0]}`));
});
