package hosting

import (
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of all hosted instances, by id.
const Table = "hosted_instances"

// Hosts is the table of their host names; the first one of an instance is its
// issuer's.
const Hosts = "hosted_instance_hosts"

// View declares the table of hosted instances.
func View() view.View {
	return view.View{
		Name: "hosted_instances", Revision: 1,
		Types: types(),
		Apply: apply,
		Tables: []view.Table{{
			Name: Table,
			Key:  []string{"id"},
			Columns: entity.Columns(
				view.Column{Name: "id", Kind: event.IDRef},
				view.Column{Name: "log", Kind: event.IDRef},
				view.Column{Name: "name", Kind: event.Text},
				view.Column{Name: "host", Kind: event.Text},
				view.Column{Name: "status", Kind: event.Text},
				view.Column{Name: "checkpoint_key", Kind: event.Text},
				view.Column{Name: "size", Kind: event.Int},
				view.Column{Name: "root", Kind: event.Bytes},
			),
			Indexes: [][]string{{entity.Order}},
			Prefix:  []string{"name"},
		}, {
			Name: Hosts,
			Key:  []string{"instance", "host"},
			Columns: []view.Column{
				{Name: "instance", Kind: event.IDRef},
				{Name: "host", Kind: event.Text},
				{Name: entity.Order, Kind: event.Int},
			},
			Indexes: [][]string{{entity.Order}},
		}},
	}
}

func apply(f event.Fact) []view.Change {
	set := view.Values{}
	var hosts []view.Change
	switch p := f.Payload.(type) {
	case Hosted:
		set = entity.Created(f, view.Values{"log": p.Log, "name": p.Name, "host": p.Host, "status": string(Making)})
		hosts = append(hosts, host(f, p.Host))
	case HostAdded:
		hosts = append(hosts, host(f, p.Host))
	case HostRemoved:
		hosts = append(hosts, view.Remove(Hosts, view.Values{"instance": p.Instance, "host": p.Host}))
	case Made:
		set["status"], set["checkpoint_key"] = string(Active), p.CheckpointKey
	case Suspended:
		set["status"] = string(IsSuspended)
	case Resumed:
		set["status"] = string(Active)
	case Deleted:
		set["status"], set["size"], set["root"] = string(IsDeleted), p.Size, p.Root
	case Destroyed:
		set["status"] = string(IsDestroyed)
	}
	return append(hosts, view.Put(Table, view.Values{"id": f.Stream.ID}, entity.Changed(f, set)))
}

// host is a row of Hosts.
func host(f event.Fact, name string) view.Change {
	return view.Put(Hosts, view.Values{"instance": f.Stream.ID, "host": name}, view.Values{entity.Order: f.Position})
}
