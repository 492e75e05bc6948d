"""A forged DNS answer, as censors inject it: quicker than the true one, and to A and AAAA alike.

It refuses to answer what is no question.
"""

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from circumtest.wire.dns import ADDRESSES, OBJECTIONS, TTL


def forged_answer(question: bytes, address: str) -> bytes | None:
    """What is told in place of the truth: `address`, or "" for NXDOMAIN.  None for no question.

    A question for the other family's addresses is told that there is none.
    """
    try:
        asked = dns.message.from_wire(question)
        if asked.flags & dns.flags.QR or len(asked.question) != 1:
            return None
        answer = dns.message.make_response(asked, recursion_available=True)
        one = asked.question[0]
        if not address:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif one.rdtype == ADDRESSES[ip_address(address).version]:
            answer.answer.append(dns.rrset.from_text(one.name, TTL, "IN", one.rdtype, address))
        return answer.to_wire()
    except OBJECTIONS:
        return None
