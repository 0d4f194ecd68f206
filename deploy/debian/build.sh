#!/bin/sh
# Makes the .deb from the wheel:  build.sh WHEEL DIRECTORY [MAN-PAGES]
# docs/decisions/0032 says why the .deb contains only the package and uses Debian's libraries.
set -eu

wheel=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
name=alerta-opsgenie
version=$(basename "$wheel" | cut -d- -f2)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(stat -c %Y "$wheel")}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

modules=$root/usr/lib/python3/dist-packages
mkdir -p "$modules" "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/share/doc/$name" "$root/DEBIAN"
python3 -m zipfile -e "$wheel" "$modules"
# dpkg keeps its own list of files; without RECORD, pip does not change the package.
rm "$modules"/*.dist-info/RECORD
cat >"$root/usr/bin/$name" <<'PROGRAM'
#!/usr/bin/python3
from alerta_opsgenie.cli import main

main()
PROGRAM
chmod 0755 "$root/usr/bin/$name"
sed "s|/opt/$name/bin/|/usr/bin/|" "$here/../systemd/$name.service" >"$root/usr/lib/systemd/system/$name.service"
cp "$here/../../LICENSE" "$root/usr/share/doc/$name/copyright"
gzip -9 -n -c "$here/../../CHANGELOG.md" >"$root/usr/share/doc/$name/changelog.gz"
for page in ${3:+"$3"/*.[0-9]}; do
	section=$root/usr/share/man/man${page##*.}
	mkdir -p "$section"
	gzip -9 -n -c "$page" >"$section/$(basename "$page").gz"
done

sed "s/@VERSION@/$version/" "$here/control" >"$root/DEBIAN/control"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$2"
dpkg-deb --root-owner-group --build "$root" "$2/${name}_${version}_all.deb"
