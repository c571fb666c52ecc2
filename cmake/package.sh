#!/usr/bin/env bash
# One relocatable tar: bin/, and in lib/ every library the programs need beyond glibc's own.
# usage: cmake/package.sh BIN_DIR OUT_DIR
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bin=$(readlink -f "$1") out=$2
version=$(sed -n 's/^project(modelhop VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=modelhop-$version-linux-x86_64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/bin" "$work/$name/lib" "$out"

cp LICENSE README.md "$work/$name/"
cp -r docs configs "$work/$name/"
for program in modelhop modelhop-worker; do
  strip --strip-debug -o "$work/$name/bin/$program" "$bin/$program"
done
# The machine's own loader, C and C++ runtimes and vDSO stay the machine's.
ldd "$bin/modelhop" "$bin/modelhop-worker" | awk '$3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/(ld-linux-x86-64|libc|libm|libpthread|libdl|librt|libresolv)\.so' |
  while read -r library; do cp --dereference "$library" "$work/$name/lib/"; done
missing=$(LD_LIBRARY_PATH='' ldd "$work/$name/bin/modelhop" "$work/$name/bin/modelhop-worker" | grep 'not found' || true)
[ -z "$missing" ] || { echo "package: unresolved: $missing" >&2; exit 1; }
# Under another name until it is whole: whoever finds the tar finds all of it.
unfinished=$out/.$name.tar.gz.$$
trap 'rm -rf "$work" "$unfinished"' EXIT
tar --create --gzip --owner=0 --group=0 --sort=name --file "$unfinished" --directory "$work" "$name"
mv --force "$unfinished" "$out/$name.tar.gz"
echo "$out/$name.tar.gz ($(du -h "$out/$name.tar.gz" | cut -f1))"
