"""Wraps the SDK's own System.IO.Hashing.dll into a nupkg, byte for byte the same on every run.

    python3 infra/local/packages/pack.py <dotnet>/sdk/<version>/Sdks/Microsoft.Build.Tasks.Git/tools/net/System.IO.Hashing.dll
"""
import hashlib
import pathlib
import sys
import zipfile

VERSION = "10.0.12"
SHA256 = "beb1c5959a9f9ef5a14a97fd77b82212468c3680b2141c3ec206ac21ed89664b"

dll = pathlib.Path(sys.argv[1]).read_bytes()
if hashlib.sha256(dll).hexdigest() != SHA256:
    sys.exit("this is not the assembly that README.md names")

NUSPEC = f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>System.IO.Hashing</id>
    <version>{VERSION}</version>
    <authors>Microsoft</authors>
    <license type="expression">MIT</license>
    <copyright>Microsoft Corporation. All rights reserved.</copyright>
    <description>System.IO.Hashing {VERSION} as the .NET SDK ships it, wrapped without a change.</description>
    <dependencies>
      <group targetFramework="net8.0" />
    </dependencies>
  </metadata>
</package>
"""
RELS = """<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/System.IO.Hashing.nuspec" Id="R1" />
</Relationships>
"""
TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
  <Default Extension="nuspec" ContentType="application/octet" />
  <Default Extension="dll" ContentType="application/octet" />
</Types>
"""
target = pathlib.Path(__file__).with_name(f"System.IO.Hashing.{VERSION}.nupkg")
with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
    for name, data in (
        ("_rels/.rels", RELS.encode()),
        ("System.IO.Hashing.nuspec", NUSPEC.encode()),
        ("lib/net8.0/System.IO.Hashing.dll", dll),
        ("[Content_Types].xml", TYPES.encode()),
    ):
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, data)
