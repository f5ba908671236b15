//go:build !linux

package doctor

import "errors"

// volume is a file system.
type volume struct {
	id, kind         string
	free, total      uint64
	remote, fleeting bool
}

var errSystem = errors.New("not known on this system")

func space(string) (volume, error)          { return volume{}, errSystem }
func sameDisk(string, string) (bool, error) { return false, errSystem }
func maxFiles() (uint64, error)             { return 0, errSystem }
func clockSynced() (bool, error)            { return false, errSystem }
