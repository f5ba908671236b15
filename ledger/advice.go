package ledger

import (
	"context"

	"muniment.dev/cell"
	"muniment.dev/fault"
	"muniment.dev/pgdb"
)

// AdviseRegister says what an operator should know about a register in another
// system than files: log is the log's place, a path or its PostgreSQL database.
// Of a file it says nothing: on which disk that is, only the machine knows.
func AdviseRegister(ctx context.Context, where, log string) ([]pgdb.Advice, error) {
	if !cell.Is(where) {
		return nil, nil
	}
	var out []pgdb.Advice
	err := RegisterApart(ctx, where, log)
	if fault.Is(err, fault.Refused) {
		out = append(out, pgdb.Advice{Serious: true, Is: "the register is in the log's own PostgreSQL cluster, or in a copy of it", Do: "Give it a cluster of its own, etcd, or a file on another machine."})
		err = nil
	}
	if err != nil {
		return nil, err
	}
	more, err := cell.Advise(ctx, where)
	return append(out, more...), err
}
