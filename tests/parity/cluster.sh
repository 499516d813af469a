# A server without a cluster refuses what needs one.
t cluster list; t cluster list -f json; t cluster show nope; t cluster show none; t cluster add nope; t cluster add; t cluster edit nope; t cluster get nope k; t cluster set nope a=b; t cluster unset nope a; t cluster set nope a
t cluster rename a b; t cluster remove nope; t cluster remove nope -f --yes; t cluster list-tokens; t cluster revoke-token nope; t cluster enable; t cluster enable x y; t cluster evacuate nope; t cluster evacuate nope --force
t cluster restore nope; t cluster restore nope --force; t cluster role add nope database; t cluster role remove nope database; t cluster update-certificate; t cluster update-cert /nope /nope2; t cluster update-cert /etc/hostname /etc/hostname
t cluster group list; t cluster group create g; t cluster group delete g; t cluster group show g; t cluster group edit g; t cluster group assign m g; t cluster group remove m g; t cluster group rename a b; t cluster group create
t cluster enable c1; t storage list --target x; t storage create x dir --target nope; t init bb c --target nope; t config show --target nope; t info --target nope; t network create x --target nope
t cluster group list -f bogus; t cluster list nope:; t cluster show; t cluster role; t cluster group
