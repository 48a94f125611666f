#!/usr/bin/env bash
# Builds a release into dist/: an archive for each platform, what is inside it (an SBOM in
# CycloneDX, from the module list in the binary), and the checksums. The same commit, built with
# the same Go, gives the same bytes on any machine.
#
#   deploy/release.sh VERSION
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${1:?usage: deploy/release.sh VERSION}
commit=$(git rev-parse HEAD)
# The time of the commit, for all that has a time in it.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

rm -rf dist
mkdir -p dist
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
  os=${platform%/*} arch=${platform#*/}
  name=parley-$version-$os-$arch
  echo "build $name"
  mkdir "dist/$name"
  GOFLAGS='' GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.version=$version -X main.commit=$commit" -o "dist/$name/parley" ./cmd/parley
  go run ./deploy/sbom -version "$version" "dist/$name/parley" >"dist/$name.cdx.json"
  cp LICENSE README.md deploy/systemd/parley.service "dist/$name/"
  tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -n9 >"dist/$name.tar.gz"
  rm -r "dist/${name:?}"
done
cd dist
sha256sum -- *.tar.gz *.cdx.json >SHA256SUMS
cat SHA256SUMS
