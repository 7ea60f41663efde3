"""Networks from elsewhere: trained ones that come with a package, and small ones to train in seconds."""
