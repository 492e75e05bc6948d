"""What the Shadowsocks tunnel is made from: links and files (SIP002), plugins' options (SIP003)."""
