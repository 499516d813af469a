#!/bin/bash
# Images with the templates that public cloud images have: what cloud-init finds in its NoCloud seed.
# covers: POST /1.0/instances
. "$(dirname "$0")/lib.bash"
SEED=/var/lib/cloud/seed/nocloud-net

mkdir -p "$SCRATCH/image/rootfs" && cd "$SCRATCH/image" || exit 1
tar -xzf "$BB" 2>/dev/null
cat >templates/cloud-init-meta.tpl <<'T'
#cloud-config
instance-id: {{ container.name }}
local-hostname: {{ container.name }}
{{ config_get("user.meta-data", "") }}
T
for kind in user vendor; do
	cat >templates/cloud-init-$kind.tpl <<T
{%- if config_get("cloud-init.$kind-data", "") == "" %}
{{- config_get("user.$kind-data", properties.default) }}
{%- else %}
{{- config_get("cloud-init.$kind-data", properties.default) }}
{%- endif %}
T
done
cat >templates/cloud-init-network.tpl <<'T'
{%- if config_get("cloud-init.network-config", "") == "" and config_get("user.network-config", "") == "" -%}
version: 1
config:
  - type: physical
    name: {% if instance.type == "virtual-machine" %}enp5s0{% else %}eth0{% endif %}
    subnets:
      - type: {% if config_get("user.network_mode", "") == "link-local" %}manual{% else %}dhcp{% endif %}
        control: auto
{%- elif config_get("cloud-init.network-config", "") == "" -%}
{{- config_get("user.network-config", "") -}}
{%- else -%}
{{- config_get("cloud-init.network-config", "") -}}
{%- endif %}
T
cat >metadata.yaml <<I
architecture: $(uname -m)
creation_date: 1700000000
properties: {os: Cloud, description: cloud test}
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
  $SEED/meta-data: {when: [create, copy], template: cloud-init-meta.tpl}
  $SEED/network-config: {when: [create, copy], template: cloud-init-network.tpl}
  $SEED/user-data: {when: [create, copy], template: cloud-init-user.tpl, properties: {default: "#cloud-config\n{}\n"}}
  $SEED/vendor-data: {when: [create, copy], template: cloud-init-vendor.tpl, properties: {default: "#cloud-config\n{}\n"}}
I
tar --sort=name -czf "$SCRATCH/cloud.tar.gz" metadata.yaml templates rootfs
does lxc image import "$SCRATCH/cloud.tar.gz" --alias cloud

# seed NAME FILE: its bytes, with a dot behind them, so that line ends show: the last one of a template is kept, that of a value
# which `lxc` sets is not.
seed() { lxc exec "$1" -- cat "$SEED/$2"; echo .; }
meta_data() { printf '#cloud-config\ninstance-id: %s\nlocal-hostname: %s\n%s\n.' "$1" "$1" "${2:-}"; }
NETWORK='version: 1
config:
  - type: physical
    name: eth0
    subnets:
      - type: dhcp
        control: auto
.'

it "gives defaults to an instance without data"
does lxc launch cloud clo1 -q
same "$(seed clo1 meta-data)" "$(meta_data clo1)" meta-data
same "$(seed clo1 user-data)" $'#cloud-config\n{}\n\n.' user-data
same "$(seed clo1 vendor-data)" $'#cloud-config\n{}\n\n.' vendor-data
same "$(seed clo1 network-config)" "$NETWORK" network-config
same "$(lxc exec clo1 -- stat -c '%a %u %g' $SEED/user-data $SEED)" $'644 0 0\n755 0 0' 'mode and owner'

it "keeps them when the keys change later"
does lxc config set clo1 cloud-init.user-data=later user.meta-data=later
does lxc restart -f clo1
same "$(seed clo1 user-data)" $'#cloud-config\n{}\n\n.' user-data
same "$(seed clo1 meta-data)" "$(meta_data clo1)" meta-data

it "fills them in anew for a copy"
does lxc stop -f clo1
does lxc copy clo1 clo2
does lxc start clo2
same "$(seed clo2 meta-data)" "$(meta_data clo2 later)" meta-data
same "$(seed clo2 user-data)" $'later\n.' user-data
does lxc delete -f clo1 clo2

it "gives the old keys"
data=$'#cloud-config\npackages: ["a b"]\nruncmd:\n- echo "{{ not a template }} & <b>"\n'
does lxc launch cloud clo3 -q -c user.user-data="$data" -c user.vendor-data=$'#!/bin/sh\ntrue' \
	-c user.meta-data='public-keys: k' -c user.network-config=$'version: 2\nethernets: {}\n'
same "$(seed clo3 meta-data)" "$(meta_data clo3 'public-keys: k')" meta-data
same "$(seed clo3 user-data)" "$data." user-data
same "$(seed clo3 vendor-data)" $'#!/bin/sh\ntrue\n.' vendor-data
same "$(seed clo3 network-config)" $'version: 2\nethernets: {}\n.' network-config
does lxc delete -f clo3

it "prefers the new ones, also those of a profile"
does lxc profile create clo
does lxc profile set clo cloud-init.vendor-data=of-profile cloud-init.network-config='version: 2' user.vendor-data=old
does lxc launch cloud clo4 -q -p default -p clo -c cloud-init.user-data='grüße ✓' -c user.user-data=old \
	-c user.network-config=old -c user.network_mode=link-local
same "$(seed clo4 user-data)" $'grüße ✓\n.' user-data
same "$(seed clo4 vendor-data)" $'of-profile\n.' vendor-data
same "$(seed clo4 network-config)" $'version: 2\n.' network-config
does lxc delete -f clo4
does lxc launch cloud clo5 -q -c user.network_mode=link-local
same "$(seed clo5 network-config)" "${NETWORK/dhcp/manual}" network-config
does lxc delete -f clo5
does lxc profile delete clo

it "refuses configuration that can't be read"
does lxc init cloud clo6 -q
for wrong in $'#cloud-config\na: [' $'#cloud-config\n- a' $'#cloud-config\nx'; do
	refuses yaml lxc config set clo6 cloud-init.user-data "$wrong"
	refuses yaml lxc config set clo6 cloud-init.vendor-data "$wrong"
done
for right in $'#!/bin/sh\na: [' $'#cloud-config\na: 1\na: 2' '#cloud-config' $' #cloud-config\na: ['; do
	does lxc config set clo6 cloud-init.user-data "$right"
done
does lxc config set clo6 cloud-init.network-config $'a: 1\na: 2'
does lxc delete clo6
done_testing
