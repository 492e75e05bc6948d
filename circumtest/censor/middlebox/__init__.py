"""What judges the packets that the kernel cannot judge: a process that asks `Censor` about each.

The kernel hands packets over through a queue (`netlink`), bytes become a `Packet` (`datagram`,
`streams`), the verdict goes back as a mark that the kernel carries out and counts (`handover`), and
what a censor sends besides is made (`forge`) and sent (`box`).  It refuses to judge: that is
`circumtest.censor.judge`, for the simulator and here.
"""
