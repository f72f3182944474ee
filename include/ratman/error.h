/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can go wrong. Of libratman: see ratman.h. */
#ifndef RATMAN_ERROR_H
#define RATMAN_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Errors of our own; texts from ratman_strerror(). */
enum ratman_error {
	RATMAN_EUNREACHABLE = -1000,	/* nothing listens there, or it refused */
	RATMAN_ETIMEOUT = -1001,	/* no answer in time */
	RATMAN_ECLOSED = -1002,		/* the daemon closed the connection */
	RATMAN_EPROTOCOL = -1003,	/* the answer is not Microframe */
	RATMAN_EVERSION = -1004,	/* the daemon speaks another version */
	RATMAN_EAUTH = -1005,		/* token missing, wrong, or not for this address */
	RATMAN_ENOADDRESS = -1006,	/* the daemon does not hold this address */
	RATMAN_EDUPLICATE = -1007,	/* the address exists already */
	RATMAN_ENOTSUPPORTED = -1008,	/* the daemon does not know this request */
	RATMAN_EINPUT = -1009,		/* the daemon found the request wrong */
	RATMAN_EINTERNAL = -1010,	/* the daemon failed; see ratman_error_text() */
	RATMAN_ENOSUBSCRIPTION = -1011,	/* no such subscription */
	RATMAN_EBUSY = -1012,		/* another call, send or receive is under way */
	RATMAN_EAGAIN = -1013,		/* not yet: see ratman_set_nonblocking() */
	/* Of the Service API; ratman_error_text() has the daemon's words. */
	RATMAN_ENOTAUTHORISED = -1100,	/* not allowed */
	RATMAN_ENOUSER = -1101,		/* no such user, or wrong password */
	RATMAN_ECONTACTEXISTS = -1102,
	RATMAN_ENOCONTACT = -1103,
	RATMAN_EQUERY = -1104,		/* the query is wrong */
	RATMAN_ENODATA = -1105,		/* nothing there, or no more */
	RATMAN_EPAYLOAD = -1106,	/* the request's contents are wrong */
	RATMAN_ECALLBACK = -1107,
	RATMAN_ENOSIGN = -1108,
	RATMAN_EBADSIGN = -1109,
	RATMAN_ENETWORK = -1110,
	RATMAN_ENOROUTE = -1111,
	RATMAN_ESERIALISE = -1112,
	RATMAN_ENOSERVICE = -1113,	/* no such service is registered */
	RATMAN_ESERVICEEXISTS = -1114,
	RATMAN_ECOMM = -1115,
	RATMAN_EIO = -1116,		/* the daemon's storage failed or is full */
};

/* A short English text without final full stop; never NULL. Static. */
const char *ratman_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif
