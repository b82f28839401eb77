# SPDX-License-Identifier: Apache-2.0
"""A disk of its own: an ext4 file system in an image on a loop device, whose power can be cut.

The cut is ext4's own shutdown ioctl without a flush of its journal: from then on nothing reaches the image, and the next
mount finds what had been synced, as after a power failure. Needs root and loop devices; Disk.why_not says what is missing.
"""
import fcntl
import os
import pathlib
import struct
import subprocess
import time

EXT4_IOC_SHUTDOWN = 0x8004587D
GOING_FLAGS_NOLOGFLUSH = 2
UMOUNT_S = 30


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError("%s: %s" % (" ".join(map(str, argv)), done.stderr.strip()))
    return done.stdout


class Disk:
    """An image in `folder`, mounted at folder/NAME. `backing_mib`: the image lies in a tmpfs of this size (F13)."""

    def __init__(self, folder, name, size_mib=2048, backing_mib=0):
        self.folder, self.name = pathlib.Path(folder), name
        self.path = self.folder / name
        self.path.mkdir()
        self.backing = None
        if backing_mib:
            self.backing = self.folder / (name + ".backing")
            self.backing.mkdir()
            run("mount", "-t", "tmpfs", "-o", "size=%dm" % backing_mib, "tmpfs", self.backing)
        self.image = (self.backing or self.folder) / (name + ".img")
        with open(self.image, "wb") as image:
            image.truncate(size_mib << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)
        self.filler = self.path / "filler"
        self.mount()

    @staticmethod
    def why_not(folder):
        """None, or why there can be no such disk here: for a test that says that it is skipped."""
        if os.geteuid() != 0:
            return "mounting needs root"
        try:
            disk = Disk(folder, "probe", size_mib=16)
        except OSError as error:
            return "no ext4 in an image here: %s" % error
        try:
            disk.cut()
            disk.unmount()
        except OSError as error:
            return "no power cut here: %s" % error
        disk.remove()
        return None

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def unmount(self):
        """Whoever had files open was just killed: the kernel may need a moment."""
        deadline = time.monotonic() + UMOUNT_S
        while True:
            try:
                run("umount", self.path)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def cut(self):
        """The power goes. Processes on it go on running, and every write of theirs fails from now on."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(fd)

    def power_on(self):
        """After cut(), when nothing uses it any more: the journal is replayed."""
        self.unmount()
        self.mount()

    def check(self):
        """The file system itself is whole (unmounted)."""
        run("e2fsck", "-f", "-n", self.image)

    def free_bytes(self):
        info = os.statvfs(self.path)
        return info.f_bavail * info.f_frsize

    def fill(self, left_bytes):
        """Everything but left_bytes is taken; 0: to the last block. Pieces, since ext4 needs blocks of its own for them. What a
        program gives back meanwhile is its own: only what is free now is taken."""
        wanted = self.free_bytes() - left_bytes
        with open(self.filler, "ab") as filler:
            for piece in (256 << 20, 4 << 20, 64 << 10, 4 << 10):
                while wanted >= piece:
                    try:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, piece)
                    except OSError:
                        break
                    wanted -= piece

    def empty(self):
        self.filler.unlink(missing_ok=True)

    def remove(self):
        """Whatever the state: for the end of a test."""
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
        if self.backing:
            subprocess.run(["umount", "-l", str(self.backing)], capture_output=True, check=False)
        else:
            self.image.unlink(missing_ok=True)
