module maildomain.dev/world/pause

go 1.26.0
