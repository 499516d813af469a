# Projects: made, changed, renamed, limited, worked in.
t project list; t project create pj; t project create pj; t project create pk -c features.images=false -c user.a=b
t project create pbad -c bogus=1; t project create pbad -c nothing; t project create; t project create a b
t project list; t project list -f csv; t project show pj; t project show pk; t project get pk features.images; t project get pk nope
t project set pj user.x=1 user.y=2; t project get pj user.x; t project set pj user.x 3; t project show pj; t project unset pj user.y
t project unset pj user.y; t project set pj bogus=1; t project set pj a; t project set nope a=b; t project unset nope a
printf 'description: mine\nconfig:\n  features.images: "true"\n  features.profiles: "true"\n' >"$work/in"
stdin=$work/in t project edit pj; t project show pj; stdin=$work/in t project edit nope
t project set pj limits.instances=2 limits.memory=1GiB; ts project info pj -f csv; t project info pj -f bogus; t project info nope
t --project pj list; t --project pj profile list; t --project pj image list; t profile show default --project pj
t --project pj init --empty x; t --project pj list -c nse; t --project pj delete x
t project rename pj pl; t project rename pj pl; t project show pl; t project rename default d; t project switch pl; t project list -f csv
t project delete pl; t project switch default; t project delete pl; t project delete pl; t project delete pk; t project delete default
t project delete; t project show; t project list -f yaml; t project list -f compact
