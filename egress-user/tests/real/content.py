"""Makes what the servers of `cargo xtask real` serve, below the folder named as first argument.

Second argument: the folder with the packages that xtask fetched (npm/*.tgz, pypi/*, crates/*.crate).
"""
import base64, hashlib, io, json, os, shutil, subprocess, sys, tarfile

out, fetched = sys.argv[1:3]
www = os.path.join(out, "www")


def write(path, data):
    path = os.path.join(www, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def sh(line, **more):
    subprocess.run(line, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


# Pages and files; what they hold is the same in every run.
write("index.html", "<!doctype html><title>a page</title><p>this is the page\n")
write("1m", bytes(i * 7 % 251 for i in range(1 << 20)))
write("data.json", json.dumps({"n": list(range(100))}))

# npm: a document for each package, with every version that was fetched.
documents = {}
for name in sorted(os.listdir(os.path.join(fetched, "npm"))):
    if not name.endswith(".tgz"):
        continue
    data = open(os.path.join(fetched, "npm", name), "rb").read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = min((m for m in tar.getmembers() if m.name.count("/") == 1 and m.name.endswith("/package.json")), key=lambda m: len(m.name))
        about = json.load(tar.extractfile(member))
    package, version = about["name"], about["version"]
    document = documents.setdefault(package, {"name": package, "dist-tags": {}, "versions": {}})
    document["dist-tags"]["latest"] = version
    document["versions"][version] = about | {"dist": {
        "tarball": f"https://www.web.test/tgz/{name}",
        "shasum": hashlib.sha1(data).hexdigest(),
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()}}
    write(f"tgz/{name}", data)
for package, document in documents.items():
    # A name with a scope is asked for with its slash escaped; nginx looks for the unescaped one.
    write("npm/" + package, json.dumps(document))

# PyPI: the simple index.
projects = {}
for name in sorted(os.listdir(os.path.join(fetched, "pypi"))):
    data = open(os.path.join(fetched, "pypi", name), "rb").read()
    project = name.split("-")[0].lower().replace("_", "-")
    digest = hashlib.sha256(data).hexdigest()
    projects.setdefault(project, []).append(f'<a href="/whl/{name}#sha256={digest}">{name}</a>')
    write(f"whl/{name}", data)
for project, links in projects.items():
    write(f"simple/{project}/index.html", "<!doctype html>" + "<br>".join(links))

# crates: the sparse index.
write("crates/config.json", json.dumps({"dl": "https://www.web.test/crate/{crate}-{version}.crate"}))
for name in sorted(os.listdir(os.path.join(fetched, "crates"))):
    data = open(os.path.join(fetched, "crates", name), "rb").read()
    crate, version = name.removesuffix(".crate").rsplit("-", 1)
    line = {"name": crate, "vers": version, "deps": [], "cksum": hashlib.sha256(data).hexdigest(), "features": {}, "yanked": False}
    folder = {1: "1", 2: "2", 3: f"3/{crate[0]}"}.get(len(crate), f"{crate[:2]}/{crate[2:4]}")
    write(f"crates/{folder}/{crate}", json.dumps(line) + "\n")
    write(f"crate/{name}", data)

# A package of Debian's kind, and its list.
deb = os.path.join(out, "deb")
os.makedirs(os.path.join(deb, "DEBIAN"), exist_ok=True)
os.makedirs(os.path.join(deb, "usr/share/real-hello"), exist_ok=True)
with open(os.path.join(deb, "DEBIAN/control"), "w") as file:
    file.write("Package: real-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@web.test>\nDescription: nothing\n")
with open(os.path.join(deb, "usr/share/real-hello/hello"), "w") as file:
    file.write("hello\n")
os.makedirs(os.path.join(www, "debian"), exist_ok=True)
sh(f"dpkg-deb --root-owner-group -b {deb} {www}/debian/real-hello_1.0_all.deb")
fields = subprocess.run(["dpkg-deb", "-f", f"{www}/debian/real-hello_1.0_all.deb"], check=True, capture_output=True, text=True).stdout
data = open(f"{www}/debian/real-hello_1.0_all.deb", "rb").read()
packages = f"{fields.rstrip()}\nFilename: ./real-hello_1.0_all.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
write("debian/Packages", packages)
write("debian/Release", f"Suite: stable\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {hashlib.sha256(packages.encode()).hexdigest()} {len(packages)} Packages\n")

# A repository, which every way of git clones.
work = os.path.join(out, "work")
os.makedirs(work, exist_ok=True)
sh("git init -q -b main && echo text > file && git add file && git -c user.name=a -c user.email=a@web.test commit -q -m one"
   " --date=2026-01-01T00:00:00Z", cwd=work, env=os.environ | {"GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"})
os.makedirs(os.path.join(www, "git"), exist_ok=True)
sh(f"git clone -q --bare {work} {www}/git/repo.git && git -C {www}/git/repo.git update-server-info")

sh(f"ssh-keygen -q -t ed25519 -N '' -f {out}/id")

for name in ("app.py", "mail.py", "grpc_echo.py"):
    shutil.copy(os.path.join(os.path.dirname(__file__), name), out)
