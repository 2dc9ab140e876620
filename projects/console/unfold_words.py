"""What Unfold says on our pages, for our catalogue: Unfold brings none.

Texts that Django's own catalogues have too, such as "Save" or "Filter", are not here.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

WORDS = (
    # lists
    gettext_noop("Apply Filters"),
    gettext_noop("Run"),
    gettext_noop("Select action"),
    gettext_noop("Select action to run"),
    gettext_noop("Select record"),
    gettext_noop("Type to search"),
    # forms
    gettext_noop("Choose file to upload"),
    gettext_noop("Click to cancel"),
    gettext_noop("False"),
    gettext_noop("General"),
    gettext_noop("Select value"),
    gettext_noop("This item will be deleted."),
    gettext_noop("Toggle password visibility"),
    gettext_noop("True"),
    # users
    gettext_noop("After you've created a user, you’ll be able to edit more user options."),
    gettext_noop(
        "Raw passwords are not stored, so there is no way to see this user’s password, but you can "
        "change the password using "
        '<a href="{}" class="text-primary-600 dark:text-primary-500">this form</a>.'
    ),
    # the user menu, the login and its end
    gettext_noop("Dark"),
    gettext_noop("Light"),
    gettext_noop("System"),
    gettext_noop("Welcome"),
    gettext_noop("You have been successfully logged out from the administration"),
)
