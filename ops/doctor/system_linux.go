package doctor

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// volume is a file system.
type volume struct {
	id               string
	kind             string
	free, total      uint64 // bytes
	remote, fleeting bool
}

// kinds are the file systems that matter, by what statfs(2) calls them.
var kinds = map[int64]volume{
	unix.NFS_SUPER_MAGIC:  {kind: "nfs", remote: true},
	unix.SMB_SUPER_MAGIC:  {kind: "smb", remote: true},
	unix.SMB2_SUPER_MAGIC: {kind: "smb", remote: true},
	unix.CIFS_SUPER_MAGIC: {kind: "cifs", remote: true},
	unix.CEPH_SUPER_MAGIC: {kind: "ceph", remote: true},
	unix.AFS_SUPER_MAGIC:  {kind: "afs", remote: true},
	unix.V9FS_MAGIC:       {kind: "9p", remote: true},
	unix.TMPFS_MAGIC:      {kind: "tmpfs", fleeting: true},
	unix.RAMFS_MAGIC:      {kind: "ramfs", fleeting: true},
}

func space(path string) (volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return volume{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	v := kinds[int64(s.Type)]
	v.free, v.total = s.Bavail*uint64(s.Bsize), s.Blocks*uint64(s.Bsize)
	dev, err := device(path)
	v.id = strconv.FormatUint(dev, 16)
	return v, err
}

// device is the device of a path, or of the folder that it would be in.
func device(path string) (uint64, error) {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	if err == unix.ENOENT {
		err = unix.Stat(filepath.Dir(path), &s)
	}
	if err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return uint64(s.Dev), nil
}

func sameDisk(a, b string) (bool, error) {
	da, err := device(a)
	if err != nil {
		return false, err
	}
	db, err := device(b)
	return da == db, err
}

func maxFiles() (uint64, error) {
	var r unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
	return r.Cur, err
}

// clockSynced asks the kernel whether a time service keeps its clock
// (adjtimex(2)).
func clockSynced() (bool, error) {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return t.Status&unix.STA_UNSYNC == 0, err
}
