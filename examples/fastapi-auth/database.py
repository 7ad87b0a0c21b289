"""The database of the example: organizations, their users and settings, and sessions. SQLAlchemy, one SQLite file."""

import hashlib
import os
import secrets
import time

from sqlalchemy import Column, Float, ForeignKey, Integer, String, create_engine
from sqlalchemy.orm import Session, declarative_base, relationship, sessionmaker

Base = declarative_base()
PATH = os.environ.get("AUTH_DATABASE", "auth.sqlite")
engine = create_engine(f"sqlite:///{PATH}", connect_args={"check_same_thread": False, "timeout": 20})
open_session = sessionmaker(engine, expire_on_commit=False)

SESSION_SECONDS = 24 * 3600


class Organization(Base):
    __tablename__ = "organizations"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)
    plan = Column(String, nullable=False)
    settings = relationship("Setting", order_by="Setting.name")


class Setting(Base):
    __tablename__ = "settings"
    organization_id = Column(ForeignKey("organizations.id"), primary_key=True)
    name = Column(String, primary_key=True)
    value = Column(String, nullable=False)


class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)
    organization_id = Column(ForeignKey("organizations.id"), nullable=False)
    email = Column(String, nullable=False, unique=True)
    name = Column(String, nullable=False)
    password = Column(String, nullable=False)
    organization = relationship("Organization")


class Login(Base):
    __tablename__ = "logins"
    token = Column(String, primary_key=True)  # its digest: who reads the database cannot log in
    user_id = Column(ForeignKey("users.id"), nullable=False)
    expires = Column(Float, nullable=False)
    user = relationship("User")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str, salt: str) -> str:
    return f"{salt}${hashlib.scrypt(password.encode(), salt=salt.encode(), n=2**10, r=8, p=1).hex()}"


# ---- What is read: plain data, for rows are nothing without their session --------------------------------------------------------------


def read_session(db: Session, token: str):
    """Whose session it is, or None."""
    login = db.get(Login, digest(token))
    if login is None or login.expires < time.time():
        return None
    return {"user_id": login.user_id, "organization_id": login.user.organization_id, "expires": login.expires}


def read_profile(db: Session, user_id: int):
    user = db.get(User, user_id)
    organization = {"id": user.organization.id, "name": user.organization.name}
    return {"id": user.id, "email": user.email, "name": user.name, "organization": organization}


def read_organization(db: Session, organization_id: int):
    organization = db.get(Organization, organization_id)
    members = db.query(User).filter_by(organization_id=organization_id).count()
    return {"id": organization.id, "name": organization.name, "plan": organization.plan, "members": members}


def read_settings(db: Session, organization_id: int):
    return {setting.name: setting.value for setting in db.query(Setting).filter_by(organization_id=organization_id)}


# ---- What is changed -----------------------------------------------------------------------------------------------------------------


def log_in(db: Session, email: str, password: str):
    """A new session's token, or None."""
    user = db.query(User).filter_by(email=email).one_or_none()
    if user is None or not secrets.compare_digest(user.password, hash_password(password, user.password.partition("$")[0])):
        return None
    token = secrets.token_urlsafe(24)
    db.add(Login(token=digest(token), user_id=user.id, expires=time.time() + SESSION_SECONDS))
    db.commit()
    return token


def log_out(db: Session, token: str):
    db.query(Login).filter_by(token=digest(token)).delete()
    db.commit()


def rename(db: Session, user_id: int, name: str):
    db.get(User, user_id).name = name
    db.commit()


def fill(organizations: int = 10, users: int = 200):
    """A database to try it with; the password of everybody is `password`."""
    Base.metadata.create_all(engine)
    with open_session() as db:
        for o in range(1, organizations + 1):
            db.add(Organization(id=o, name=f"Organization {o}", plan="team" if o % 2 else "free"))
            db.add_all(Setting(organization_id=o, name=f"setting-{s:02}", value=f"value {s} of {o}") for s in range(20))
        for u in range(1, users + 1):
            password = hash_password("password", f"salt{u}")
            organization = u % organizations + 1
            db.add(User(id=u, organization_id=organization, email=f"user{u}@example.org", name=f"User {u}", password=password))
        db.commit()
